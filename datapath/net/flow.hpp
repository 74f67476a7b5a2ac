// What selectors judge of one packet, read once and kept as the words that lookups and comparisons want.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "datapath/net/traffic_selector.hpp"

namespace espgate::net {

// Local is the sender of an outbound packet; an inbound one is `turned`.
struct Flow {
  // IPv4: local << 32 | remote in the first. IPv6: local high and low, remote high and low. Host order; of
  // IPv4 the rest is not set.
  std::uint64_t addresses[4];
  std::uint64_t upper = 0;  // protocol << 32 | local port << 16 | remote port
  Family family = Family::v4;
  // False for a fragment that does not begin the packet, or one too short for them (RFC 4301 7). True for
  // protocols without ports, whose ports are 0.
  bool ports_known = true;
  bool protocol_known = true;  // false: an IPv6 fragment whose first header is an extension header

  std::uint8_t protocol() const { return static_cast<std::uint8_t>(upper >> 32); }
  // ICMP: type * 256 + code, in both places, so that turning a flow changes nothing about it.
  std::uint16_t local_port() const { return static_cast<std::uint16_t>(upper >> 16); }
  std::uint16_t remote_port() const { return static_cast<std::uint16_t>(upper); }

  // `source` and `destination` in network order, of `family`.
  void set_addresses(Family packet_family, const std::uint8_t* source, const std::uint8_t* destination) {
    family = packet_family;
    if (family == Family::v4) {
      std::uint32_t words[2];
      std::memcpy(&words[0], source, sizeof words[0]);
      std::memcpy(&words[1], destination, sizeof words[1]);
      addresses[0] = std::uint64_t{__builtin_bswap32(words[0])} << 32 | __builtin_bswap32(words[1]);
    } else {
      std::memcpy(&addresses[0], source, 16);
      std::memcpy(&addresses[2], destination, 16);
      for (auto& word : addresses) word = __builtin_bswap64(word);
    }
  }
  void set_upper(std::uint8_t protocol, std::uint16_t local_port, std::uint16_t remote_port) {
    upper = std::uint64_t{protocol} << 32 | std::uint64_t{local_port} << 16 | remote_port;
  }

  // The same packet seen from the other end.
  Flow turned() const {
    Flow result = *this;
    if (family == Family::v4) {
      result.addresses[0] = std::rotl(addresses[0], 32);
    } else {
      result.addresses[0] = addresses[2];
      result.addresses[1] = addresses[3];
      result.addresses[2] = addresses[0];
      result.addresses[3] = addresses[1];
    }
    result.set_upper(protocol(), remote_port(), local_port());
    return result;
  }
};

// Ranges of both sides' addresses, as Flow has them.
struct FlowRanges {
  std::uint64_t first[4];
  std::uint64_t last[4];

  static FlowRanges of(const AddressRange& local, const AddressRange& remote) {
    FlowRanges result{};
    const auto words = [](const Address& a, const Address& b, std::uint64_t* out) {
      Flow flow{};
      flow.set_addresses(a.family, a.bytes.data(), b.bytes.data());
      std::memcpy(out, flow.addresses, sizeof flow.addresses);
    };
    words(local.first, remote.first, result.first);
    words(local.last, remote.last, result.last);
    return result;
  }
};

// Whether both addresses of a flow lie within ranges of its family.
inline bool within(const FlowRanges& ranges, const Flow& flow) {
  const auto between = [](auto first, auto value, auto last) { return value >= first && value <= last; };
  if (flow.family == Family::v4) {
    const auto local = [](std::uint64_t word) { return word >> 32; };
    const auto remote = [](std::uint64_t word) { return word & 0xffff'ffff; };
    const auto first = ranges.first[0], value = flow.addresses[0], last = ranges.last[0];
    return between(local(first), local(value), local(last)) &&
           between(remote(first), remote(value), remote(last));
  }
  const auto wide = [](const std::uint64_t* words) { return std::pair(words[0], words[1]); };
  return between(wide(ranges.first), wide(flow.addresses), wide(ranges.last)) &&
         between(wide(ranges.first + 2), wide(flow.addresses + 2), wide(ranges.last + 2));
}

}  // namespace espgate::net
