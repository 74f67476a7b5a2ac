#include "control/sa/connection.hpp"

namespace espgate::sa {
namespace {

Totals totals(const SaStore::Total& traffic, const Faults& faults) {
  constexpr auto relaxed = std::memory_order_relaxed;
  Totals result;
  result.packets = traffic.packets;
  result.bytes = traffic.bytes;
  result.replay = faults.replay.load(relaxed);
  result.out_of_window = faults.out_of_window.load(relaxed);
  result.integrity = faults.integrity.load(relaxed);
  result.malformed = faults.malformed.load(relaxed);
  result.policy = faults.policy.load(relaxed);
  result.exhausted = faults.exhausted.load(relaxed);
  return result;
}

}  // namespace

Totals& Totals::operator+=(const Totals& other) {
  packets += other.packets;
  bytes += other.bytes;
  replay += other.replay;
  out_of_window += other.out_of_window;
  integrity += other.integrity;
  malformed += other.malformed;
  policy += other.policy;
  exhausted += other.exhausted;
  return *this;
}

Totals inbound_totals(SaStore& store, std::uint32_t index) {
  return totals(store.inbound_total(index), store.inbound_faults(index));
}

Totals outbound_totals(SaStore& store, std::uint32_t index) {
  return totals(store.outbound_total(index), store.outbound_faults(index));
}

}  // namespace espgate::sa
