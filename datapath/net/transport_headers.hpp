// Where ESP stands in an IP packet in transport mode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "datapath/net/headers.hpp"

namespace espgate::net {

struct HeaderEnd {
  std::size_t bytes;           // IP header with what belongs before ESP
  std::size_t next_header_at;  // offset of the field that names what follows
};

// How long the IPv6 extension header of type `type` is that begins at `offset`; 0 if it does not fit.
inline std::size_t extension_bytes(std::span<const std::uint8_t> ip, std::size_t offset, std::uint8_t type) {
  if (offset + 8 > ip.size()) return 0;
  const std::size_t bytes = type == protocol_fragment ? 8 : 8 + ip[offset + 1] * std::size_t{8};
  return offset + bytes <= ip.size() ? bytes : 0;
}

// Where an IPv6 packet's fragment header begins, and the field that names it. Nothing if there is none within
// `ip`, which begins with a whole IPv6 header.
inline std::optional<HeaderEnd> fragment_header(std::span<const std::uint8_t> ip) {
  HeaderEnd end{ipv6_header_bytes, ipv6::next_header};
  while (ip[end.next_header_at] != protocol_fragment) {
    const std::uint8_t type = ip[end.next_header_at];
    if (type != protocol_hop_by_hop && type != protocol_routing && type != protocol_destination_options)
      return std::nullopt;
    const std::size_t bytes = extension_bytes(ip, end.bytes, type);
    if (bytes == 0) return std::nullopt;
    end = {end.bytes + bytes, end.bytes};
  }
  if (extension_bytes(ip, end.bytes, protocol_fragment) == 0) return std::nullopt;
  return end;
}

// Where ESP goes into a packet (RFC 4303 3.1.1): behind IPv4 options; behind IPv6 extension headers that
// routers on the way read, so before destination options unless a routing header follows them. The packet's
// headers have been parsed and are sound.
inline HeaderEnd esp_position(std::span<const std::uint8_t> ip, Family family) {
  if (family == Family::v4) return {std::size_t{ip[0]} % 16 * 4, ipv4::protocol};
  HeaderEnd end{ipv6_header_bytes, ipv6::next_header};
  for (;;) {
    const std::uint8_t type = ip[end.next_header_at];
    const bool is_options = type == protocol_destination_options;
    if (!is_options && type != protocol_hop_by_hop && type != protocol_routing) return end;
    const std::size_t bytes = extension_bytes(ip, end.bytes, type);
    if (bytes == 0 || (is_options && ip[end.bytes] != protocol_routing)) return end;
    end = {end.bytes + bytes, end.bytes};
  }
}

// The field that names what begins at `header_bytes`, at the end of a chain of headers that has been parsed.
inline std::size_t next_header_field(std::span<const std::uint8_t> ip, Family family,
                                     std::size_t header_bytes) {
  if (family == Family::v4) return ipv4::protocol;
  std::size_t at = ipv6::next_header;
  for (std::size_t offset = ipv6_header_bytes; offset < header_bytes;) {
    const std::size_t bytes = extension_bytes(ip, offset, ip[at]);
    if (bytes == 0) break;
    at = offset;
    offset += bytes;
  }
  return at;
}

// Puts a changed total length, protocol and IPv4 checksum into a header of `header_bytes`.
inline void rewrite_header(std::span<std::uint8_t> ip, Family family, std::size_t header_bytes,
                           std::size_t next_header_at, std::uint8_t protocol) {
  ip[next_header_at] = protocol;
  if (family == Family::v6) {
    store_be16(ip, ipv6::payload_length, static_cast<std::uint16_t>(ip.size() - ipv6_header_bytes));
    return;
  }
  store_be16(ip, ipv4::total_length, static_cast<std::uint16_t>(ip.size()));
  store_be16(ip, ipv4::checksum, 0);
  store_be16(ip, ipv4::checksum, header_checksum(ip.first(header_bytes)));
}

}  // namespace espgate::net
