#include "control/ike/unprotected_budget.hpp"

#include <algorithm>
#include <chrono>

namespace espgate::ike {
namespace {

net::Address network_of(net::Address address) {
  const std::ptrdiff_t bytes = address.family == net::Family::v4 ? 3 : 6;
  std::fill(address.bytes.begin() + bytes, address.bytes.end(), std::uint8_t{0});
  return address;
}

}  // namespace

UnprotectedBudget::UnprotectedBudget(const Limits& limits) : limits_(limits), all_(limits.in_all) {
  // What was sent in the second before the last look, and since then, with a burst.
  const auto most = 2 * std::size_t{limits.in_all} + limits.in_all / 4 + 1;
  by_network_.reserve(most);
  by_address_.reserve(most);
}

bool UnprotectedBudget::has_one(const Buckets& buckets, const net::Address& address, Time now) {
  const auto found = buckets.find(address);
  return found == buckets.end() || found->second.has_one(now);
}

bool UnprotectedBudget::has_room(const net::Address& to, Time now) const {
  return all_.has_one(now) && has_one(by_network_, network_of(to), now) && has_one(by_address_, to, now);
}

void UnprotectedBudget::took(const net::Address& to, Time now) {
  // Buckets are full again after a second at most, and then as if they had never been.
  if (now - forgot_ >= std::chrono::seconds(1)) {
    for (auto* buckets : {&by_network_, &by_address_})
      std::erase_if(*buckets, [&](const auto& each) { return each.second.is_full(now); });
    forgot_ = now;
  }
  (void)all_.take(now);
  (void)by_network_.try_emplace(network_of(to), limits_.to_network).first->second.take(now);
  (void)by_address_.try_emplace(to, limits_.to_address).first->second.take(now);
}

}  // namespace espgate::ike
