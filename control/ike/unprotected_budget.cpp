#include "control/ike/unprotected_budget.hpp"

#include <algorithm>

namespace espgate::ike {
namespace {

net::Address network_of(net::Address address) {
  const std::ptrdiff_t bytes = address.family == net::Family::v4 ? 3 : 6;
  std::fill(address.bytes.begin() + bytes, address.bytes.end(), std::uint8_t{0});
  return address;
}

std::uint32_t count_of(const std::unordered_map<net::Address, std::uint32_t>& counts,
                       const net::Address& address) {
  const auto found = counts.find(address);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

bool UnprotectedBudget::take(const net::Address& to, Time now) {
  if (all_.is_over(now)) {
    by_network_.clear();
    by_address_.clear();
  }
  const auto network = network_of(to);
  if (count_of(by_network_, network) >= limits_.to_network ||
      count_of(by_address_, to) >= limits_.to_address || !all_.take(now))
    return false;
  ++by_network_[network];
  ++by_address_[to];
  return true;
}

}  // namespace espgate::ike
