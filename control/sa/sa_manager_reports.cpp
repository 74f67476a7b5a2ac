// SaManager: what it knows, for the CLI and for whoever explains stray packets.
#include <algorithm>

#include "control/sa/sa_manager.hpp"

namespace espgate::sa {
namespace {

std::string_view name(OutboundPhase phase) {
  switch (phase) {
    case OutboundPhase::none:
      return "none";
    case OutboundPhase::active:
      return "active";
    case OutboundPhase::retired:
      return "retired";
    case OutboundPhase::unlinked:
      return "unlinked";
  }
  return {};
}

SpiFacts::Standing standing(Phase phase) {
  switch (phase) {
    case Phase::larval:
      return SpiFacts::Standing::larval;
    case Phase::active:
      return SpiFacts::Standing::active;
    case Phase::lingering:
      return SpiFacts::Standing::active;
    case Phase::retired:
      return SpiFacts::Standing::retired;
    case Phase::unpublished:
      return SpiFacts::Standing::unknown;
  }
  return SpiFacts::Standing::unknown;
}

std::string_view expired_or(const std::atomic<State>& state, std::string_view otherwise) {
  return state.load(std::memory_order_relaxed) == State::expired ? "expired" : otherwise;
}

SaEnds ends_of(const InboundSa& sa) {
  return {net::Address::from_bytes(sa.outer_family, sa.source),
          net::Address::from_bytes(sa.outer_family, sa.destination), sa.encapsulation, sa.remote_port};
}

// The last retirement that the story tells of.
SpiFacts recall(const LifeStory& story) {
  SpiFacts facts;
  facts.connection = story.connection->name;
  for (auto event = story.events.rbegin(); event != story.events.rend(); ++event) {
    facts.since = event->when;
    facts.successor = event->other_spi;
    facts.standing = SpiFacts::Standing::retired;
    switch (event->what) {
      case Happening::retired_deleted:
        facts.reason = Reason::deleted;
        return facts;
      case Happening::retired_expired:
        facts.reason = Reason::expired;
        return facts;
      case Happening::retired_rekeyed:
        facts.reason = Reason::rekeyed;
        return facts;
      default:
        break;
    }
  }
  return {};
}

}  // namespace

SpiFacts SaManager::about(std::uint32_t spi) const {
  const auto noted = parts_.journal == nullptr ? std::nullopt : parts_.journal->find(spi);
  auto facts = about(spi, noted);
  if (noted) facts.peer = noted->peer;
  return facts;
}

SpiFacts SaManager::about(std::uint32_t spi, const std::optional<SpiJournal::Entry>& noted) const {
  if (const auto* record = inbound_.find(spi)) {
    const bool expired =
        parts_.store.inbound(record->index).state.load(std::memory_order_relaxed) == State::expired;
    if (expired && record->phase < Phase::retired)
      return {SpiFacts::Standing::retired, Reason::expired, 0, record->since, record->connection->name};
    SpiFacts facts{standing(record->phase), record->reason, record->successor, record->since,
                   record->connection->name};
    if (facts.standing == SpiFacts::Standing::active)
      facts.ends = ends_of(parts_.store.inbound(record->index));
    return facts;
  }
  if (const auto* story = stories_.find(spi)) return recall(*story);
  SpiFacts facts;
  if (noted) {
    // Of this process its tombstone is gone, or there never was one: what ended it is not known any more, nor
    // when.
    facts.standing = noted->is_before_restart && !noted->has_ended ? SpiFacts::Standing::before_restart
                                                                   : SpiFacts::Standing::retired;
    facts.since.wall = noted->when;
    facts.connection = noted->connection;
    return facts;
  }
  if (parts_.store.is_earlier(spi)) {  // and the journal has had no room for it since
    facts.standing = SpiFacts::Standing::before_restart;
    return facts;
  }
  const auto outbound = outbound_.first_with_spi(spi);
  if (outbound == no_sa) return facts;
  const auto& record = outbound_.records()[outbound];
  facts.standing = SpiFacts::Standing::outbound;
  facts.since = record.since;
  facts.connection = record.connection->name;
  return facts;
}

std::string_view SaManager::connection_of_peer(const net::Address& remote) const {
  const auto found = peers_.find(remote);
  return found == peers_.end() ? std::string_view{} : found->second->name;
}

SaReport SaManager::report_of(const InboundRecord& record) const {
  const auto reason = record.phase == Phase::retired ? name(record.reason) : std::string_view{};
  return {Direction::inbound,
          record.index,
          record.spi,
          record.connection->name,
          record.phase < Phase::retired
              ? expired_or(parts_.store.inbound(record.index).state, name(record.phase))
              : name(record.phase),
          record.since,
          reason,
          record.successor,
          inbound_totals(parts_.store, record.index),
          record.lifetime,
          inbound_used(parts_.store, record.index),
          record.began};
}

SaReport SaManager::report_of(std::uint32_t index) const {
  const auto& record = outbound_.records()[index];
  const auto reason = record.phase == OutboundPhase::retired ? name(record.reason) : std::string_view{};
  return {Direction::outbound,
          index,
          record.spi,
          record.connection->name,
          record.phase == OutboundPhase::active
              ? expired_or(parts_.store.outbound(index).state, name(record.phase))
              : name(record.phase),
          record.since,
          reason,
          0,
          outbound_totals(parts_.store, index),
          record.lifetime,
          outbound_used(parts_.store, index),
          record.began};
}

void SaManager::visit(const Connection& connection, const Visitor& visitor) const {
  for (const auto index : connection.inbound_sas)
    if (const auto& record = inbound_.at(index); record.phase != Phase::unpublished)
      visitor(report_of(record));
  for (const auto index : connection.outbound_sas) {
    const auto phase = outbound_.records()[index].phase;
    if (phase == OutboundPhase::active || phase == OutboundPhase::retired) visitor(report_of(index));
  }
}

void SaManager::visit(const std::string& name, const Visitor& visitor) const {
  if (const auto found = connection(name)) visit(**found, visitor);
}

bool SaManager::visit_former(std::uint64_t& place, const Visitor& visitor) const {
  const auto next = former_.upper_bound(place);
  if (next == former_.end()) return false;
  place = next->first;
  visit(*next->second, visitor);
  return true;
}

SaManager::Use SaManager::use(Direction direction) const {
  Use result;
  const auto count = [&](const std::atomic<State>& state) {
    ++(state.load(std::memory_order_relaxed) == State::expired ? result.retired : result.active);
  };
  if (direction == Direction::inbound) {
    result.larval = inbound_.in(Phase::larval).size();
    result.retired = inbound_.in(Phase::retired).size();
    for (const auto phase : {Phase::active, Phase::lingering})
      for (const auto& record : inbound_.in(phase)) count(parts_.store.inbound(record.index).state);
    return result;
  }
  for (std::uint32_t index = 0; index < outbound_.records().size(); ++index) {
    const auto phase = outbound_.records()[index].phase;
    if (phase == OutboundPhase::active) count(parts_.store.outbound(index).state);
    result.retired += phase == OutboundPhase::retired;
  }
  return result;
}

std::uint32_t SaManager::current_outbound_spi(const std::string& name) const {
  const auto found = connections_.find(name);
  if (found == connections_.end() || found->second->outbound == no_sa) return 0;
  return outbound_.records()[found->second->outbound].spi;
}

std::span<Policy* const> SaManager::policies_of(const std::string& name) const {
  const auto found = connections_.find(name);
  if (found == connections_.end()) return {};
  return found->second->policies;
}

std::optional<ConnectionReport> SaManager::connection_report(const std::string& name) const {
  const auto found = connections_.find(name);
  if (found == connections_.end()) return std::nullopt;
  const auto& connection = *found->second;
  ConnectionReport result{
      connection.name,       connection.line,      0, 0, connection.past_inbound, connection.past_outbound,
      connection.peer_moves, connection.peer_moved};
  if (connection.inbound != no_sa) result.inbound_spi = inbound_.at(connection.inbound).spi;
  if (connection.outbound != no_sa) result.outbound_spi = outbound_.records()[connection.outbound].spi;
  // Those that were given up but wait for the readers have not been added to the past yet.
  for (const auto index : connection.inbound_sas)
    if (inbound_.at(index).phase != Phase::larval) result.inbound += inbound_totals(parts_.store, index);
  for (const auto index : connection.outbound_sas) result.outbound += outbound_totals(parts_.store, index);
  return result;
}

SpiReport SaManager::report(std::uint32_t spi) const {
  SpiReport result;
  result.facts = about(spi);
  if (const auto* record = inbound_.find(spi)) result.sas.push_back(report_of(*record));
  for (const auto index : outbound_.with_spi(spi)) result.sas.push_back(report_of(index));
  if (const auto* story = stories_.find(spi)) result.events = story->events;
  return result;
}

}  // namespace espgate::sa
