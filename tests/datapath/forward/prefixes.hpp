// Random prefixes that nest and neighbour each other, and the longest match found the slow way.
#pragma once

#include <map>
#include <random>

#include "datapath/net/address.hpp"

namespace espgate::testing {

using Model = std::map<net::Prefix, std::uint32_t>;

inline std::uint32_t slow_lookup(const Model& model, const net::Address& address) {
  int longest = -1;
  std::uint32_t value = 0;
  for (const auto& [prefix, prefix_value] : model)
    if (prefix.length > longest && prefix.contains(address)) {
      longest = prefix.length;
      value = prefix_value;
    }
  return value;
}

// Few different bytes, so that prefixes meet; edges of the address space among them.
inline net::Address random_address(std::mt19937& random, net::Family family) {
  net::Address address;
  address.family = family;
  for (int i = 0; i < address.bits() / 8; ++i) {
    constexpr std::uint8_t bytes[] = {0, 0, 1, 0x80, 0x7f, 0xff, 0xff};
    address.bytes[static_cast<std::size_t>(i)] =
        random() % 8 == 0 ? static_cast<std::uint8_t>(random()) : bytes[random() % std::size(bytes)];
  }
  return address;
}

inline net::Prefix random_prefix(std::mt19937& random, net::Family family) {
  const auto address = random_address(random, family);
  const auto bits = static_cast<std::uint32_t>(address.bits());
  const auto length = random() % 2 == 0 ? random() % (bits + 1) : random() % (bits / 8 + 1) * 8;
  return net::masked(address, static_cast<std::uint8_t>(length));
}

}  // namespace espgate::testing
