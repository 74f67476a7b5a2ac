// How large ESP makes a packet, and what fits a path.
#pragma once

#include "datapath/crypto/suite.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::sa {

// What every host takes (RFC 1122 3.3.3): no report makes an IPv4 path's MTU less. Where it is that, a router
// may have asked for less, so outer packets go without DF, for routers to cut (RFC 4459 3.2).
inline constexpr std::uint16_t least_path_mtu4 = 576;

struct EspSizes {
  unsigned around;  // outer IP, UDP, ESP header, IV and ICV
  unsigned align;   // of payload, padding and trailer together

  static constexpr unsigned trailer_bytes = 2;                      // pad length and next header (RFC 4303 2)
  static constexpr unsigned most_behind = 15 + trailer_bytes + 32;  // padding, trailer and ICV of any suite

  // `headers_bytes`: outer IP, UDP and ESP header.
  EspSizes(unsigned headers_bytes, const crypto::Suite& suite)
      : around(headers_bytes + suite.iv_bytes + suite.icv_bytes), align(suite.align_bytes) {}

  // The outer packet around `payload` bytes: in tunnel mode the whole inner packet.
  unsigned outer_bytes(unsigned payload) const {
    return around + (payload + trailer_bytes + align - 1) / align * align;
  }
  // The most that fits an outer packet of that size; 0: nothing does.
  unsigned largest_payload(unsigned outer) const {
    const unsigned room = outer < around ? 0 : (outer - around) / align * align;
    return room < trailer_bytes ? 0 : room - trailer_bytes;
  }
};

}  // namespace espgate::sa
