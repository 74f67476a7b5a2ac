#include "control/sa/connection.hpp"

#include <algorithm>

namespace espgate::sa {
namespace {

template <typename Reasons, typename Faults>
Totals totals(const SaStore::Total& traffic, const Reasons& reasons, const Faults& faults) {
  Totals result{traffic.packets, traffic.bytes, traffic.last_tsc, {}};
  for (const auto reason : reasons)
    if (const auto count = faults.of(reason); count != 0) result.faults.emplace_back(reason, count);
  std::ranges::sort(result.faults);
  return result;
}

LifetimeUsed used(bool limited, const Allowance& allowance) {
  if (!limited) return {};
  return {allowance.packets.load(std::memory_order_relaxed), allowance.bytes.load(std::memory_order_relaxed),
          0};
}

}  // namespace

Totals& Totals::operator+=(const Totals& other) {
  packets += other.packets;
  bytes += other.bytes;
  last_tsc = std::max(last_tsc, other.last_tsc);
  for (const auto& [reason, count] : other.faults) {
    const auto place =
        std::ranges::lower_bound(faults, reason, {}, &std::pair<Verdict, std::uint64_t>::first);
    if (place != faults.end() && place->first == reason)
      place->second += count;
    else
      faults.insert(place, {reason, count});
  }
  return *this;
}

void take_settings(Connection& connection, const config::Connection& wanted) {
  connection.name = wanted.name;
  connection.line = wanted.line;
  const bool may_use_udp = wanted.encapsulation == config::Encapsulation::udp || wanted.ike;
  connection.nat_keepalive_s = may_use_udp ? wanted.nat_keepalive_s : 0;
  connection.dummy_rate = wanted.dummy_rate;
}

std::uint64_t Totals::of(Verdict fault) const {
  const auto place = std::ranges::find(faults, fault, &std::pair<Verdict, std::uint64_t>::first);
  return place == faults.end() ? 0 : place->second;
}

Totals inbound_totals(SaStore& store, std::uint32_t index) {
  return totals(store.inbound_total(index), inbound_faults, store.inbound_faults(index));
}

Totals outbound_totals(SaStore& store, std::uint32_t index) {
  return totals(store.outbound_total(index), outbound_faults, store.outbound_faults(index));
}

LifetimeUsed inbound_used(SaStore& store, std::uint32_t index) {
  return used(store.inbound(index).limited, store.inbound_allowance(index));
}

LifetimeUsed outbound_used(SaStore& store, std::uint32_t index) {
  return used(store.outbound(index).limited, store.outbound_allowance(index));
}

}  // namespace espgate::sa
