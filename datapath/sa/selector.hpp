// What an SA may carry (RFC 4301 5.2 step 4; outbound 5.1, where a route and no policy brings the packet):
// source and destination of an inner packet, as prefixes under which both must fall; or, where an SA is for
// a part of the traffic between them, also ranges, a protocol and ports.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "datapath/net/flow.hpp"

namespace espgate::sa {

// `source` is the remote side, as of an inbound packet. Addresses in network order; IPv4 uses the first four
// bytes. All zero, it matches nothing.
struct Selector {
  std::uint8_t source[16];
  std::uint8_t destination[16];
  std::uint8_t source_bits;
  std::uint8_t destination_bits;
  net::Family family;
  std::uint8_t unused;
};
static_assert(sizeof(Selector) == 36);

namespace detail {

inline std::uint64_t leading_bits(unsigned bits) {  // at most 64
  return bits == 0 ? 0 : ~std::uint64_t{0} << (64 - bits);
}

inline bool under_prefix4(const std::uint8_t* prefix, const std::uint8_t* address, unsigned bits) {
  std::uint32_t a;
  std::uint32_t b;
  std::memcpy(&a, prefix, sizeof a);
  std::memcpy(&b, address, sizeof b);
  return std::uint64_t{__builtin_bswap32(a ^ b)} >> (32 - bits) == 0;
}

inline bool under_prefix6(const std::uint8_t* prefix, const std::uint8_t* address, unsigned bits) {
  std::uint64_t a[2];
  std::uint64_t b[2];
  std::memcpy(a, prefix, sizeof a);
  std::memcpy(b, address, sizeof b);
  const std::uint64_t high = __builtin_bswap64(a[0] ^ b[0]) & leading_bits(bits < 64 ? bits : 64);
  const std::uint64_t low = __builtin_bswap64(a[1] ^ b[1]) & leading_bits(bits < 64 ? 0 : bits - 64);
  return (high | low) == 0;
}

}  // namespace detail

// True when both addresses (network order) of an inbound inner packet of `family` fall under the selector.
inline bool matches(const Selector& selector, net::Family family, const std::uint8_t* source,
                    const std::uint8_t* destination) {
  if (selector.family != family) return false;
  if (family == net::Family::v4)
    return detail::under_prefix4(selector.source, source, selector.source_bits) &&
           detail::under_prefix4(selector.destination, destination, selector.destination_bits);
  return detail::under_prefix6(selector.source, source, selector.source_bits) &&
         detail::under_prefix6(selector.destination, destination, selector.destination_bits);
}

// A selector that is more than two prefixes.
struct DetailedSelector {
  net::FlowRanges ranges;
  net::TrafficSelector selector;
};

// What an inbound SA has behind its one inline selector, and all that an outbound one has.
struct MoreSelectors {
  std::span<const Selector> prefixes;
  std::span<const DetailedSelector> detailed;
};

enum class Fit : std::uint8_t {
  outside,
  inside,
  unknown,  // a packet without ports, and a selector for ports that matches in everything else (RFC 4301 7)
};

// The source of `flow` is the local side: an inbound packet's is turned.
Fit fit(std::span<const DetailedSelector> selectors, const net::Flow& flow);

}  // namespace espgate::sa
