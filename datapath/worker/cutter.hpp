// Cuts IP packets into fragments: IPv4 by routers and sources (RFC 791 3.2), IPv6 by sources (RFC 8200 4.5),
// as a tunnel's entry is one for its outer packets (RFC 2473 7.1).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "datapath/net/address.hpp"
#include "datapath/net/transport_headers.hpp"

struct rte_mbuf;
struct rte_mempool;

namespace espgate::worker {

class Cutter {
 public:
  // `packet` is contiguous, begins with its IP header, and is longer than `limit`, the largest fragment; it
  // stays the caller's and must stay as it is. `identification` is for IPv6; an IPv4 packet has its own.
  Cutter(const rte_mbuf& packet, net::Family family, std::uint32_t limit, std::uint32_t identification);

  // Whether any fragment can be as small as `limit`, headers and eight bytes, and all can say where they
  // belong: a packet of `packet_bytes` may be a fragment that ends where no packet does.
  static bool possible(const std::uint8_t* ip, net::Family family, std::uint32_t packet_bytes,
                       std::uint32_t limit);

  bool done() const { return at_ == end_; }
  // The next fragment, in a buffer of its own from `pool`, whose buffers hold `limit` bytes. nullptr: there
  // is none left, and nothing has changed.
  rte_mbuf* next(rte_mempool* pool);

 private:
  void write_header(std::span<std::uint8_t> out, std::size_t payload_bytes, bool last) const;

  const std::uint8_t* packet_;
  net::Family family_;
  std::size_t limit_;
  std::uint32_t identification_;
  net::HeaderEnd first_header_;                  // of the packet; of IPv6 what belongs into every fragment
  std::array<std::uint8_t, 60> later_header_{};  // IPv4
  std::size_t later_header_bytes_;               // fewer, where options are not to be copied
  std::size_t at_;                               // offsets in the packet: what comes next
  std::size_t end_;                              // and where it ends
};

}  // namespace espgate::worker
