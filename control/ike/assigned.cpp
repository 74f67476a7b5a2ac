#include "control/ike/assigned.hpp"

#include <algorithm>

namespace espgate::ike {
namespace {

bool is_of_a_host(const net::Address& address) {
  if (address.is_unspecified()) return false;
  if (address.family == net::Family::v6) {
    const auto loopback = *net::parse_address("::1");
    constexpr std::uint8_t multicast = 0xff;
    return address != loopback && address.bytes[0] != multicast;
  }
  // This network, loopback, multicast and what is reserved behind it, with broadcast.
  const auto first = address.bytes[0];
  return first != 0 && first != 127 && first < 224;
}

}  // namespace

Assignable assignable(const std::vector<net::Address>& given, const Connection& ours) {
  Assignable result;
  for (const auto& address : given) {
    const bool is_wanted = std::ranges::any_of(ours.children, [&](const ChildConfiguration& child) {
      return std::ranges::any_of(child.local,
                                 [&](const SelectorSide& side) { return side.addresses.contains(address); });
    });
    const bool is_first =
        std::ranges::find(result.taken, address.family, &net::Address::family) == result.taken.end();
    const bool is_end = ours.local == address || ours.remote == address;
    auto& list = is_wanted && is_first && !is_end && is_of_a_host(address) ? result.taken : result.refused;
    list.push_back(address);
  }
  return result;
}

}  // namespace espgate::ike
