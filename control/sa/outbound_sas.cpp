#include "control/sa/outbound_sas.hpp"

#include <cassert>

#include "control/sa/lifetimes.hpp"

namespace espgate::sa {

OutboundSas::OutboundSas(SaStore& store, Reaper& reaper)
    : store_(store), reaper_(reaper), records_(store.limits().outbound) {}

Expected<std::uint32_t> OutboundSas::install(const SaParameters& parameters,
                                             const ConnectionHandle& connection, Moment now) {
  auto index = store_.install_outbound(parameters);
  if (!index) return index;
  records_[*index] = {OutboundPhase::active, Reason::deleted,       parameters.spi, now, connection,
                      parameters.lifetime,   began(parameters, now)};
  ++used_;
  return index;
}

void OutboundSas::retire(std::uint32_t index, Reason reason, Moment now) {
  auto& record = records_[index];
  assert(record.phase == OutboundPhase::active);
  if (reason != Reason::rekeyed) store_.retire_outbound(index);
  record.phase = OutboundPhase::retired;
  record.reason = reason;
  record.since = now;
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
  if (record.reason == Reason::rekeyed) store_.retire_outbound(index);
  store_.release_outbound(index);
  record = {};
  --used_;
}

}  // namespace espgate::sa
