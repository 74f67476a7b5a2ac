#include "control/sa/outbound_sas.hpp"

#include <cassert>

namespace espgate::sa {

OutboundSas::OutboundSas(SaStore& store, Reaper& reaper, Lifetimes& lifetimes, KeyMemory& keys)
    : store_(store), reaper_(reaper), lifetimes_(lifetimes), keys_(keys), records_(store.limits().outbound) {}

Expected<std::uint32_t> OutboundSas::install(const SaParameters& parameters,
                                             const ConnectionHandle& connection, Moment now) {
  auto index = store_.install_outbound(parameters, connection->owner);
  if (!index) return index;
  records_[*index] = {OutboundPhase::active,
                      Reason::deleted,
                      parameters.spi,
                      now,
                      connection,
                      parameters.lifetime,
                      began(parameters, now),
                      {}};
  lifetimes_.watch({Direction::outbound, *index, parameters.spi}, parameters.lifetime,
                   records_[*index].began);
  connection->outbound_sas.push_back(*index);
  by_spi_.emplace(parameters.spi, *index);
  ++used_;
  return index;
}

void OutboundSas::retire(std::uint32_t index, Reason reason, Moment now) {
  auto& record = records_[index];
  assert(record.phase == OutboundPhase::active);
  if (reason != Reason::rekeyed) store_.retire_outbound(index);
  lifetimes_.forget({Direction::outbound, index, record.spi}, record.lifetime, record.began);
  keys_.remember(record.key_mark, use_of(index));
  record.phase = OutboundPhase::retired;
  record.reason = reason;
  record.since = now;
}

KeyUse OutboundSas::use_of(std::uint32_t index) const {
  return {outbound_used(store_, index), records_[index].began,
          store_.outbound(index).sequence.load(std::memory_order_relaxed)};
}

void OutboundSas::unlink(std::uint32_t index) {
  auto& record = records_[index];
  if (record.phase != OutboundPhase::retired) return;
  record.phase = OutboundPhase::unlinked;
  reaper_.add(Direction::outbound, index);
}

void OutboundSas::release(std::uint32_t index) {
  auto& record = records_[index];
  record.connection->past_outbound += outbound_totals(store_, index);
  std::erase(record.connection->outbound_sas, index);
  if (record.reason == Reason::rekeyed) store_.retire_outbound(index);
  store_.release_outbound(index);
  by_spi_.erase({record.spi, index});
  record = {};
  --used_;
}

std::uint32_t OutboundSas::first_with_spi(std::uint32_t spi) const {
  const auto first = by_spi_.lower_bound({spi, 0});
  return first != by_spi_.end() && first->first == spi ? first->second : no_sa;
}

std::vector<std::uint32_t> OutboundSas::with_spi(std::uint32_t spi) const {
  std::vector<std::uint32_t> indices;
  for (auto entry = by_spi_.lower_bound({spi, 0}); entry != by_spi_.end() && entry->first == spi; ++entry)
    indices.push_back(entry->second);
  return indices;
}

}  // namespace espgate::sa
