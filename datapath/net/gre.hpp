// The GRE header (RFC 2784) with key and, on receipt, sequence number (RFC 2890), around IP packets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "datapath/net/headers.hpp"

namespace espgate::net {

inline constexpr std::uint8_t protocol_gre = 47;

namespace gre {

inline constexpr std::uint16_t checksum_present = 0x8000, key_present = 0x2000, sequence_present = 0x1000;
// Routing and two reserved bits, with which a packet must be discarded (RFC 2784 2.1), and the version, which
// is 0. The other reserved bits must be ignored.
inline constexpr std::uint16_t refused_bits = 0x4c07;
inline constexpr std::size_t largest_header_bytes = 12;  // that write makes

// How both ends have agreed to send.
struct Options {
  std::optional<std::uint32_t> key;
  bool checksum = false;
  bool operator==(const Options&) const = default;
};

inline std::size_t header_bytes(const Options& options) {
  return std::size_t{4} + (options.checksum ? 4 : 0) + (options.key ? 4 : 0);
}

// Writes header_bytes(options) to the beginning of `packet`, which has its payload behind them.
inline void write(std::span<std::uint8_t> packet, const Options& options, Family payload) {
  std::uint16_t flags = 0;
  std::size_t at = 4;
  if (options.checksum) {
    flags |= checksum_present;
    store_be32(packet, at, 0);
    at += 4;
  }
  if (options.key) {
    flags |= key_present;
    store_be32(packet, at, *options.key);
  }
  store_be16(packet, 0, flags);
  store_be16(packet, 2, payload == Family::v4 ? ethertype_ipv4 : ethertype_ipv6);
  if (options.checksum) store_be16(packet, 4, internet_checksum(packet));
}

enum class Fault : std::uint8_t {
  none,
  malformed,     // cut off, another version, or bits that must be zero
  bad_checksum,  // whether one is asked for or not
  wrong_key,     // or none where there must be one, or one where there must be none
  unknown_protocol,
};

struct Opened {
  Fault fault = Fault::malformed;
  Family payload = Family::v4;
  std::size_t header_bytes = 0;
};

// `packet` begins with the header. A checksum is verified where there is one and may be missing: what comes
// by ESP has an ICV already.
inline Opened read(std::span<const std::uint8_t> packet, const Options& options) {
  if (packet.size() < 4) return {};
  const auto flags = load_be16(packet, 0);
  std::size_t bytes = 4;
  if ((flags & checksum_present) != 0) bytes += 4;
  const std::size_t key_at = bytes;
  if ((flags & key_present) != 0) bytes += 4;
  if ((flags & sequence_present) != 0) bytes += 4;
  if ((flags & refused_bits) != 0 || packet.size() < bytes) return {};
  if ((flags & checksum_present) != 0 && internet_checksum(packet) != 0) return {Fault::bad_checksum};
  const bool has_key = (flags & key_present) != 0;
  if (has_key != options.key.has_value() || (has_key && load_be32(packet, key_at) != *options.key))
    return {Fault::wrong_key};
  const auto protocol = load_be16(packet, 2);
  if (protocol != ethertype_ipv4 && protocol != ethertype_ipv6) return {Fault::unknown_protocol};
  return {Fault::none, protocol == ethertype_ipv4 ? Family::v4 : Family::v6, bytes};
}

}  // namespace gre
}  // namespace espgate::net
