#include "datapath/net/address.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace espgate::net {
namespace {

std::optional<std::pair<Address, std::optional<int>>> parse_with_length(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return std::pair{*address, std::optional<int>{}};
  const auto digits = text.substr(slash + 1);
  int length = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (failure != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (length < 0 || length > address->bits()) return std::nullopt;
  return std::pair{*address, std::optional{length}};
}

}  // namespace

Address Address::v4(std::uint32_t host_order) {
  Address result;
  const std::uint32_t network = htonl(host_order);
  std::memcpy(result.bytes.data(), &network, sizeof network);
  return result;
}

Address Address::from_bytes(Family family, const std::uint8_t* network_order) {
  Address result;
  result.family = family;
  std::memcpy(result.bytes.data(), network_order, family == Family::v4 ? 4 : 16);
  return result;
}

std::uint32_t Address::v4_value() const {
  std::uint32_t network;
  std::memcpy(&network, bytes.data(), sizeof network);
  return ntohl(network);
}

Prefix masked(const Address& address, std::uint8_t length) {
  Prefix result{address, length};
  for (int bit = length; bit < address.bits(); bit += 8 - bit % 8) {
    auto& byte = result.address.bytes[static_cast<std::size_t>(bit / 8)];
    byte = static_cast<std::uint8_t>(byte & ~(0xff >> (bit % 8)));
  }
  return result;
}

bool Prefix::contains(const Address& candidate) const {
  return candidate.family == address.family && masked(candidate, length).address == address;
}

bool Prefix::overlaps(const Prefix& other) const {
  return length <= other.length ? contains(other.address) : other.contains(address);
}

std::optional<Address> parse_address(std::string_view text) {
  const std::string copy(text);  // inet_pton wants a terminated string
  if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
  Address result;
  if (inet_pton(AF_INET, copy.c_str(), result.bytes.data()) == 1) return result;
  result.family = Family::v6;
  if (inet_pton(AF_INET6, copy.c_str(), result.bytes.data()) == 1) return result;
  return std::nullopt;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  const auto& [address, length] = *parsed;
  const auto prefix = masked(address, static_cast<std::uint8_t>(length.value_or(address.bits())));
  if (prefix.address != address) return std::nullopt;
  return prefix;
}

std::optional<InterfaceAddress> parse_interface_address(std::string_view text) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  const auto& [address, length] = *parsed;
  return InterfaceAddress{address, static_cast<std::uint8_t>(length.value_or(address.bits()))};
}

std::string to_string(const Address& address) {
  char buffer[INET6_ADDRSTRLEN];
  inet_ntop(address.family == Family::v4 ? AF_INET : AF_INET6, address.bytes.data(), buffer, sizeof buffer);
  return buffer;
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

}  // namespace espgate::net
