#include "control/sa/inbound_sas.hpp"

#include <cassert>

namespace espgate::sa {
namespace {

Happening happening(Reason reason) {
  switch (reason) {
    case Reason::deleted:
      return Happening::retired_deleted;
    case Reason::expired:
      return Happening::retired_expired;
    case Reason::rekeyed:
      return Happening::retired_rekeyed;
  }
  return Happening::retired_deleted;
}

}  // namespace

std::string_view name(Phase phase) {
  switch (phase) {
    case Phase::larval:
      return "larval";
    case Phase::active:
      return "active";
    case Phase::lingering:
      return "lingering";
    case Phase::retired:
      return "retired";
    case Phase::unpublished:
      return "unpublished";
  }
  return {};
}

InboundSas::InboundSas(SaStore& store, Reaper& reaper, LifeStories& stories, Lifetimes& lifetimes,
                       KeyMemory& keys, const Limits& limits)
    : store_(store),
      reaper_(reaper),
      stories_(stories),
      lifetimes_(lifetimes),
      keys_(keys),
      limits_(limits),
      capacity_(store.limits().inbound),
      records_(capacity_) {}

Expected<InboundRecord*> InboundSas::reserve(std::uint32_t spi, const ConnectionHandle& connection,
                                             Moment now) {
  const auto index = store_.reserve_inbound(spi);
  if (!index) return index.error();
  auto& larval = phases_[static_cast<std::size_t>(Phase::larval)];
  larval.push_back({*index, spi, Phase::larval, Reason::deleted, 0, now, connection, {}, now, {}});
  records_[*index] = std::prev(larval.end());
  connection->inbound_sas.push_back(*index);
  ++used_;
  stories_.begin(spi, connection, now);
  return &larval.back();
}

Expected<void> InboundSas::install(InboundRecord& record, const SaParameters& parameters, Moment now) {
  assert(record.phase == Phase::larval && record.spi == parameters.spi);
  if (auto done = store_.install_inbound(record.index, parameters, record.connection->owner); !done)
    return done;
  record.lifetime = parameters.lifetime;
  record.began = began(parameters, now);
  lifetimes_.watch({Direction::inbound, record.index, record.spi}, record.lifetime, record.began);
  enter(record, Phase::active, now);
  stories_.note(record.spi, {now, Happening::installed});
  return {};
}

void InboundSas::supersede(InboundRecord& record, std::uint32_t successor, Moment now) {
  assert(record.phase == Phase::active);
  record.successor = successor;
  enter(record, Phase::lingering, now);
  stories_.note(record.spi, {now, Happening::rekeyed, successor});
}

void InboundSas::retire(InboundRecord& record, Reason reason, Moment now) {
  assert(record.phase < Phase::retired);
  store_.retire_inbound(record.index);
  end_use(record);
  record.reason = reason;
  enter(record, Phase::retired, now);
  stories_.note(record.spi, {now, happening(reason), record.successor});
  auto& tombstones = phases_[static_cast<std::size_t>(Phase::retired)];
  if (tombstones.size() > limits_.tombstones)
    unpublish(tombstones.front(), Happening::tombstone_dropped, now);
}

void InboundSas::unpublish(InboundRecord& record, Happening why, Moment now) {
  assert(record.phase != Phase::unpublished);
  store_.unpublish_inbound(record.index);
  if (record.phase < Phase::retired) end_use(record);
  enter(record, Phase::unpublished, now);
  stories_.note(record.spi, {now, why});
  stories_.end(record.spi);
  reaper_.add(Direction::inbound, record.index);
}

// No worker accepts packets for it from here on, but for those that have begun.
void InboundSas::end_use(const InboundRecord& record) {
  if (record.phase == Phase::larval) return;
  lifetimes_.forget({Direction::inbound, record.index, record.spi}, record.lifetime, record.began);
  keys_.remember(record.key_mark, {inbound_used(store_, record.index), record.began,
                                   store_.inbound(record.index).top.load(std::memory_order_relaxed)});
}

void InboundSas::hand_over(InboundRecord& record, const ConnectionHandle& connection) {
  std::erase(record.connection->inbound_sas, record.index);
  connection->inbound_sas.push_back(record.index);
  record.connection = connection;
}

void InboundSas::release(std::uint32_t index) {
  const auto record = records_[index];
  record->connection->past_inbound += inbound_totals(store_, index);
  std::erase(record->connection->inbound_sas, index);
  store_.release_inbound(index);
  phases_[static_cast<std::size_t>(Phase::unpublished)].erase(record);
  --used_;
}

std::size_t InboundSas::move_on(Moment now, std::size_t most) {
  std::size_t moved = 0;
  auto& lingering = phases_[static_cast<std::size_t>(Phase::lingering)];
  for (; moved < most && !lingering.empty(); ++moved) {
    if (now.steady - lingering.front().since.steady < limits_.linger) break;
    retire(lingering.front(), Reason::rekeyed, now);
  }
  auto& tombstones = phases_[static_cast<std::size_t>(Phase::retired)];
  for (; moved < most && !tombstones.empty(); ++moved) {
    if (now.steady - tombstones.front().since.steady < limits_.tombstone) break;
    unpublish(tombstones.front(), Happening::tombstone_expired, now);
  }
  return moved;
}

void InboundSas::make_room(std::size_t entries, Moment now) {
  auto& tombstones = phases_[static_cast<std::size_t>(Phase::retired)];
  while (capacity_ - used_ + in(Phase::unpublished).size() < entries && !tombstones.empty())
    unpublish(tombstones.front(), Happening::tombstone_dropped, now);
}

InboundRecord* InboundSas::find(std::uint32_t spi) const {
  const auto index = store_.find(spi);
  return index == no_sa ? nullptr : &*records_[index];
}

void InboundSas::enter(InboundRecord& record, Phase phase, Moment now) {
  auto& from = phases_[static_cast<std::size_t>(record.phase)];
  auto& to = phases_[static_cast<std::size_t>(phase)];
  to.splice(to.end(), from, records_[record.index]);
  record.phase = phase;
  record.since = now;
}

}  // namespace espgate::sa
