// IP addresses and prefixes as values: parsed once from text, compared, printed. No I/O.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace espgate::net {

enum class Family : std::uint8_t { v4 = 4, v6 = 6 };

// An IPv4 or IPv6 address. `bytes` is in network order; IPv4 uses the first four, the rest are zero,
// so two equal addresses are equal byte for byte.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  Family family = Family::v4;

  static Address v4(std::uint32_t host_order);
  static Address from_bytes(Family family, const std::uint8_t* network_order);
  // The IPv4 address as a number in host order. Only for Family::v4.
  std::uint32_t v4_value() const;
  int bits() const { return family == Family::v4 ? 32 : 128; }
  bool is_unspecified() const { return bytes == std::array<std::uint8_t, 16>{}; }

  auto operator<=>(const Address&) const = default;
};

// An address and how many of its leading bits count. The bits behind are zero.
struct Prefix {
  Address address;
  std::uint8_t length = 0;

  bool contains(const Address& candidate) const;
  bool overlaps(const Prefix& other) const;
  auto operator<=>(const Prefix&) const = default;
};

// "192.0.2.1", "2001:db8::1". Nothing else: no host names, no zone, no surrounding space.
std::optional<Address> parse_address(std::string_view text);
// "192.0.2.0/24", "2001:db8::/32"; a bare address is a host prefix. Host bits behind the length are
// an error (nullopt), since they are nearly always a typing mistake; use `masked` to clear them.
std::optional<Prefix> parse_prefix(std::string_view text);
// An interface address, "192.0.2.1/24": host bits are kept in `address`.
struct InterfaceAddress {
  Address address;
  std::uint8_t prefix_length = 0;
  auto operator<=>(const InterfaceAddress&) const = default;
};
std::optional<InterfaceAddress> parse_interface_address(std::string_view text);

Prefix masked(const Address& address, std::uint8_t length);

std::string to_string(const Address& address);
std::string to_string(const Prefix& prefix);

}  // namespace espgate::net

template <>
struct std::hash<espgate::net::Address> {
  std::size_t operator()(const espgate::net::Address& a) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()}) +
           static_cast<std::size_t>(a.family);
  }
};
