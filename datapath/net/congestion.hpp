// Explicit congestion notification over a tunnel (RFC 6040).
#pragma once

#include <cstdint>
#include <span>

#include "datapath/net/headers.hpp"

namespace espgate::net {

inline constexpr std::uint8_t ecn_mask = 3;
inline constexpr std::uint8_t ecn_not_capable = 0;
inline constexpr std::uint8_t ecn_capable_1 = 1;
inline constexpr std::uint8_t ecn_experienced = 3;

// DSCP and ECN of an IP header.
inline std::uint8_t traffic_class(const std::uint8_t* ip, Family family) {
  return family == Family::v4 ? ip[ipv4::tos] : static_cast<std::uint8_t>((ip[0] << 4) | (ip[1] >> 4));
}

// Takes congestion that the outer header tells of into the inner packet, at the end of a tunnel (RFC
// 6040 4.2, figure 4). `outer` is the outer header's ECN field. False: the packet must be dropped, since its
// sender does not understand ECN and dropping is the only way to tell it.
inline bool take_in_congestion(std::uint8_t outer, std::uint8_t* inner, Family family) {
  const std::uint8_t own = traffic_class(inner, family) & ecn_mask;
  if (own == ecn_not_capable) return outer != ecn_experienced;
  if (own >= outer) {
    // ECT(0) is 2 and ECT(1) is 1, but ECT(1) outside is the heavier mark of the two.
    if (own != 2 || outer != ecn_capable_1) return true;
  } else if (outer != ecn_experienced) {
    return true;  // ECT(1) inside stays, whatever was written outside
  }
  if (family == Family::v6) {
    inner[1] = static_cast<std::uint8_t>((inner[1] & 0xcf) | (outer << 4));
    return true;
  }
  const std::span header(inner, ipv4_header_bytes);
  const std::uint16_t before = load_be16(header, 0);
  const auto after = static_cast<std::uint16_t>((before & ~ecn_mask) | outer);
  store_be16(header, ipv4::checksum, updated_checksum(load_be16(header, ipv4::checksum), before, after));
  store_be16(header, 0, after);
  return true;
}

}  // namespace espgate::net
