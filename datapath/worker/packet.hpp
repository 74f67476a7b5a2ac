// Reading IP packets where they lie, through checked or already-checked offsets, and gathering their
// addresses for burst lookups.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "datapath/forward/forwarding.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/net/transport_headers.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "datapath/worker/burst.hpp"

namespace espgate::worker {

inline constexpr unsigned trailer_bytes = 2;  // ESP pad length and next header

inline const std::uint8_t* source_of(const std::uint8_t* ip, net::Family family) {
  return ip + (family == net::Family::v4 ? 12 : 8);
}
inline const std::uint8_t* destination_of(const std::uint8_t* ip, net::Family family) {
  return ip + (family == net::Family::v4 ? 16 : 24);
}
inline std::uint32_t load_v4(const std::uint8_t* bytes) {
  return net::load_be32({bytes, 4}, 0);
}
inline Verdict by_family(net::Family family, Verdict v4, Verdict v6) {
  return family == net::Family::v4 ? v4 : v6;
}
// Adds to a number of which this worker is the only writer: no locked instruction.
inline void add(std::atomic<std::uint64_t>& single_writer, std::uint64_t n) {
  single_writer.store(single_writer.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
// One packet that passed under an SA, in a burst that began at `tsc`.
inline void count_use(sa::Usage& usage, std::uint64_t bytes, std::uint64_t tsc) {
  add(usage.packets, 1);
  add(usage.bytes, bytes);
  usage.last_tsc.store(tsc, std::memory_order_relaxed);
}
inline bool is_multicast(const std::uint8_t* destination, net::Family family) {
  return family == net::Family::v4 ? (destination[0] & 0xf0) == 0xe0 || load_v4(destination) == 0xffff'ffff
                                   : destination[0] == 0xff;
}
// Whether a packet with a sound header is part of a datagram; an IPv6 atomic fragment (RFC 6946) is not.
inline bool is_fragment(std::span<const std::uint8_t> packet, net::Family family) {
  if (family == net::Family::v4) return (net::load_be16(packet, net::ipv4::fragment) & 0x3fff) != 0;
  const auto header = net::fragment_header(packet);
  return header && (net::load_be16(packet, header->bytes + 2) & 0xfff9) != 0;
}
// Multicast that routers forward, as opposed to a link's own (RFC 5771 4, RFC 4291 2.7) and broadcast.
inline bool is_routable_multicast(const std::uint8_t* destination, net::Family family) {
  if (family == net::Family::v4)
    return (destination[0] & 0xf0) == 0xe0 && load_v4(destination) >> 8 != 0xe00000;
  return destination[0] == 0xff && (destination[1] & 0x0f) > 2;
}
// Addresses that mean something on one link or one host only: loopback, link-local, unspecified (RFC 3927 7,
// RFC 4291 2.5).
inline bool stays_on_link(const std::uint8_t* address, net::Family family) {
  if (family == net::Family::v4)
    return address[0] == 127 || address[0] == 0 || (address[0] == 169 && address[1] == 254);
  if (address[0] == 0xfe) return (address[1] & 0xc0) == 0x80;
  return net::load_be64({address, 16}, 0) == 0 && net::load_be64({address, 16}, 8) <= 1;
}

// Whether a first byte leaves it open that the address is multicast, broadcast or one of the above.
constexpr bool is_peculiar(std::uint8_t first_byte, net::Family family) {
  if (family == net::Family::v4)
    return first_byte == 0 || first_byte == 127 || first_byte == 169 || first_byte >= 224;
  return first_byte == 0 || first_byte >= 0xfe;
}

// Why a packet with these addresses must not go from one link to another; undecided if it may.
inline Verdict address_fault(const std::uint8_t* ip, net::Family family) {
  const auto* source = source_of(ip, family);
  const auto* destination = destination_of(ip, family);
  if (!is_peculiar(source[0], family) && !is_peculiar(destination[0], family)) [[likely]]
    return Verdict::undecided;
  if (is_multicast(destination, family)) return Verdict::MULTICAST_NOT_FORWARDED;
  if (is_multicast(source, family)) return Verdict::IP_SOURCE_INVALID;
  return stays_on_link(source, family) || stays_on_link(destination, family)
             ? Verdict::LINK_LOCAL_NOT_FORWARDED
             : Verdict::undecided;
}

// Whether a router on the SA's path may have asked for less than IPv4 packets are made small enough for: they
// go without DF then, for routers to cut (RFC 4459 3.2).
inline bool cut_on_way(const sa::OutboundSa& sa) {
  return sa.outer_family == net::Family::v4 &&
         sa.path_mtu.load(std::memory_order_relaxed) <= sa::least_path_mtu4;
}

// Copies `bytes`, at least `least`: most often just as many, which needs no call.
template <std::size_t least>
inline void copy_headers(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  std::memcpy(to, from, least);
  if (bytes != least) std::memcpy(to + least, from + least, bytes - least);
}

// Takes one hop off the TTL or hop limit. False: none is left, and the packet must not be forwarded.
inline bool decrement_ttl(std::uint8_t* ip, net::Family family) {
  std::uint8_t& ttl = ip[family == net::Family::v4 ? net::ipv4::ttl : net::ipv6::hop_limit];
  if (ttl <= 1) return false;
  if (family == net::Family::v4)
    net::decrement_ttl({ip, net::ipv4_header_bytes});
  else
    --ttl;
  return true;
}

// The destination of each packet of some lanes, split by family as the lookup tables want them.
struct Destinations {
  unsigned count4 = 0;
  unsigned count6 = 0;
  std::array<std::uint32_t, burst_max> v4;  // host order
  std::array<std::uint8_t, burst_max> row4;
  std::uint8_t v6[burst_max][16];
  std::array<std::uint8_t, burst_max> row6;

  Destinations(const Burst& burst, const Lanes& lanes) {
    for (const auto row : lanes) {
      const auto family = burst.family[row];
      const auto* address = destination_of(burst.l3[row], family);
      if (family == net::Family::v4) {
        v4[count4] = load_v4(address);
        row4[count4++] = row;
      } else {
        std::memcpy(v6[count6], address, 16);
        row6[count6++] = row;
      }
    }
  }
};

// Calls `found(row, hop)` for each destination.
template <typename Found>
void look_up_routes(const forward::Forwarding& tables, const Destinations& destinations, Found found) {
  std::array<forward::HopIndex, burst_max> out;
  if (destinations.count4 != 0) {
    tables.route4({destinations.v4.data(), destinations.count4}, out.data());
    for (unsigned i = 0; i < destinations.count4; ++i) found(destinations.row4[i], out[i]);
  }
  if (destinations.count6 != 0) {
    tables.route6({destinations.v6, destinations.count6}, out.data());
    for (unsigned i = 0; i < destinations.count6; ++i) found(destinations.row6[i], out[i]);
  }
}

}  // namespace espgate::worker
