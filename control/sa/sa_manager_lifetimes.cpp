// SaManager: what happens to an SA whose lifetime ends.
#include <fmt/format.h>

#include "control/sa/sa_manager.hpp"

namespace espgate::sa {
namespace {

std::string line(const LifetimeNews& news) {
  return fmt::format("connection {}: the {} SA with SPI 0x{:08x} {}", news.connection,
                     news.direction == Direction::inbound ? "inbound" : "outbound", news.spi,
                     news.stage == LifetimeStage::hard
                         ? "is past its hard lifetime; its packets are dropped until it is replaced"
                         : "is past its soft lifetime; rekey it, or give the connection new keys and reload");
}

}  // namespace

// Writes a line into the log, and may start a rekey. While many wait for that, workers expire those that have
// packets by themselves.
bool SaManager::end_a_lifetime(Moment now) {
  auto& store = parts_.store;
  const auto due = lifetimes_.take_due(now);
  if (!due) return false;
  const auto [direction, index, spi] = due->sa;
  const bool inbound = direction == Direction::inbound;
  auto& allowance = inbound ? store.inbound_allowance(index) : store.outbound_allowance(index);
  if (due->stage == LifetimeStage::hard)
    (void)expire(inbound ? store.inbound(index).state : store.outbound(index).state);
  if (allowance.first_at(due->stage)) lifetime_reached({index, spi, inbound, due->stage, {}}, now);
  return true;
}

void SaManager::lifetime_reached(const LifetimeReached& reached, Moment now) {
  const bool hard = reached.stage == LifetimeStage::hard;
  LifetimeNews news{
      reached.inbound ? Direction::inbound : Direction::outbound, reached.spi, {}, reached.stage};
  ConnectionHandle owner;
  if (reached.inbound) {
    auto* record = inbound_.find(reached.spi);
    if (record == nullptr || record->index != reached.index || record->phase == Phase::retired) return;
    owner = record->connection;
    stories_.note(reached.spi, {now, hard ? Happening::hard_expired : Happening::soft_expired});
    const bool negotiated = owner->inbound_mark == Fingerprint{} || owner->inbound != record->index;
    if (hard && negotiated)
      (void)retire_inbound(reached.spi, Reason::expired, now);
    else if (hard)
      record->since = now;
  } else {
    const auto& record = outbound_.records()[reached.index];
    if (record.phase != OutboundPhase::active || record.spi != reached.spi) return;
    owner = record.connection;
    if (hard && owner->outbound_mark == Fingerprint{})
      drop_outbound(*owner, Reason::expired, now);
    else if (hard)
      outbound_.note_expired(reached.index, now);
  }
  news.connection = owner->name;
  parts_.log(hard ? Severity::warning : Severity::info, line(news));
  if (parts_.lifetime) parts_.lifetime(news);
}

}  // namespace espgate::sa
