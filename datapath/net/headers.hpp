// IP header fields by offset, header checksums, and the check a decrypted packet must pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/net/address.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::net {

inline constexpr std::size_t ethernet_bytes = 14;
inline constexpr std::size_t vlan_tag_bytes = 4;
inline constexpr std::size_t ipv4_header_bytes = 20;  // without options
inline constexpr std::size_t ipv6_header_bytes = 40;
inline constexpr std::size_t udp_header_bytes = 8;
inline constexpr std::uint16_t ipv6_least_mtu = 1'280;  // every link and tunnel carries that (RFC 8200 5)
inline constexpr std::size_t ip_packet_max = 65'535;
inline constexpr std::size_t esp_header_bytes = 8;  // SPI and sequence number

inline constexpr std::uint16_t ethertype_ipv4 = 0x0800;
inline constexpr std::uint16_t ethertype_ipv6 = 0x86dd;
inline constexpr std::uint16_t ethertype_vlan = 0x8100;     // IEEE 802.1Q customer tag
inline constexpr std::uint16_t ethertype_service = 0x88a8;  // IEEE 802.1ad service tag

inline constexpr std::uint16_t ike_port = 500;
inline constexpr std::uint16_t natt_port = 4500;  // IKE and ESP in UDP (RFC 3948)

inline constexpr std::uint8_t protocol_hop_by_hop = 0;
inline constexpr std::uint8_t protocol_icmp = 1;
inline constexpr std::uint8_t protocol_ipv4 = 4;
inline constexpr std::uint8_t protocol_tcp = 6;
inline constexpr std::uint8_t protocol_udp = 17;
inline constexpr std::uint8_t protocol_ipv6 = 41;
inline constexpr std::uint8_t protocol_routing = 43;
inline constexpr std::uint8_t protocol_fragment = 44;
inline constexpr std::uint8_t protocol_esp = 50;
inline constexpr std::uint8_t protocol_icmpv6 = 58;
inline constexpr std::uint8_t protocol_none = 59;
inline constexpr std::uint8_t protocol_destination_options = 60;

// Offsets inside an IPv4 header (RFC 791 3.1).
namespace ipv4 {
inline constexpr std::size_t tos = 1, total_length = 2, identification = 4, fragment = 6, ttl = 8,
                             protocol = 9, checksum = 10, source = 12, destination = 16;
}
// Offsets inside an IPv6 header (RFC 8200 3).
namespace ipv6 {
inline constexpr std::size_t payload_length = 4, next_header = 6, hop_limit = 7, source = 8, destination = 24;
}

// Ones' complement sum of the 16-bit words of an IPv4 header, whose size is a multiple of 4 (RFC 1071).
// Over a header with its checksum in place a good one gives 0xffff.
inline std::uint16_t header_sum(std::span<const std::uint8_t> header) {
  assert(header.size() % 4 == 0);
  std::uint64_t sum = 0;  // The sum does not depend on byte order, so bytes are swapped once, at the end.
  for (std::size_t i = 0; i < header.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, header.data() + i, sizeof word);
    sum += word;
  }
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return __builtin_bswap16(static_cast<std::uint16_t>(sum));
}

// The checksum to put into a header whose checksum field is zero.
inline std::uint16_t header_checksum(std::span<const std::uint8_t> header) {
  return static_cast<std::uint16_t>(~header_sum(header));
}

namespace detail {

// Sum of 16-bit words in memory order; an odd byte at the end counts as if a zero followed.
inline std::uint64_t sum_of_words(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    sum += word;
  }
  std::uint32_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  return sum + rest;
}

inline std::uint16_t folded_complement(std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~__builtin_bswap16(static_cast<std::uint16_t>(sum)));
}

}  // namespace detail

// The checksum of `bytes` whose checksum field is zero (RFC 1071); with a right one in place it is 0.
inline std::uint16_t internet_checksum(std::span<const std::uint8_t> bytes) {
  return detail::folded_complement(detail::sum_of_words(bytes));
}

// The checksum of a TCP segment, UDP datagram or ICMPv6 message whose checksum field is zero. `addresses` is
// source and destination as they stand in the IP header. 0 becomes 0xffff, as UDP wants it and the others
// allow (RFC 768, RFC 1071).
inline std::uint16_t upper_checksum(std::span<const std::uint8_t> addresses, std::uint8_t protocol,
                                    std::span<const std::uint8_t> bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const std::uint64_t pseudo = __builtin_bswap32(length) + std::uint64_t{__builtin_bswap32(protocol)};
  const auto checksum =
      detail::folded_complement(detail::sum_of_words(addresses) + detail::sum_of_words(bytes) + pseudo);
  return checksum == 0 ? 0xffff : checksum;
}

// The checksum after one 16-bit word of the header changed: RFC 1624, equation 3.
inline std::uint16_t updated_checksum(std::uint16_t checksum, std::uint16_t old_word,
                                      std::uint16_t new_word) {
  std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
  sum += static_cast<std::uint16_t>(~old_word);
  sum += new_word;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// One hop less, and the checksum to match. `header` holds at least 20 bytes and a TTL above 0.
inline void decrement_ttl(std::span<std::uint8_t> header) {
  const std::uint16_t before = load_be16(header, ipv4::ttl);
  const auto after = static_cast<std::uint16_t>(before - 0x0100);
  store_be16(header, ipv4::checksum, updated_checksum(load_be16(header, ipv4::checksum), before, after));
  store_be16(header, ipv4::ttl, after);
}

// Whether `bytes`, the payload of a tunnel, starts with a whole IP packet of that family: version, header
// length, and a total length that is at least the header and at most what is there. `total_bytes` then holds
// the packet's length; what follows is traffic-flow padding (RFC 4303 2.7). Checksum and addresses are not
// looked at: the peer vouches for the bytes, and selectors judge the addresses.
inline bool inner_ok(Family family, std::span<const std::uint8_t> bytes, std::uint32_t& total_bytes) {
  if (family == Family::v4) {
    if (bytes.size() < ipv4_header_bytes || bytes[0] >> 4 != 4) return false;
    const std::size_t header = std::size_t{bytes[0]} % 16 * 4;
    total_bytes = load_be16(bytes, ipv4::total_length);
    return header >= ipv4_header_bytes && header <= total_bytes && total_bytes <= bytes.size();
  }
  if (bytes.size() < ipv6_header_bytes || bytes[0] >> 4 != 6) return false;
  total_bytes = static_cast<std::uint32_t>(ipv6_header_bytes) + load_be16(bytes, ipv6::payload_length);
  return total_bytes <= bytes.size();
}

}  // namespace espgate::net
