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
  if (const auto* record = inbound_.find(spi)) {
    const bool expired =
        parts_.store.inbound(record->index).state.load(std::memory_order_relaxed) == State::expired;
    if (expired && record->phase < Phase::retired)
      return {SpiFacts::Standing::retired, Reason::expired, 0, record->since, record->connection->name};
    return {standing(record->phase), record->reason, record->successor, record->since,
            record->connection->name};
  }
  const auto* story = stories_.find(spi);
  return story ? recall(*story) : SpiFacts{};
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

void SaManager::visit(const std::function<void(const SaReport&)>& visitor) const {
  for (const auto phase : {Phase::active, Phase::larval, Phase::lingering, Phase::retired})
    for (const auto& record : inbound_.in(phase)) visitor(report_of(record));
  for (std::uint32_t index = 0; index < outbound_.records().size(); ++index) {
    const auto phase = outbound_.records()[index].phase;
    if (phase == OutboundPhase::active || phase == OutboundPhase::retired) visitor(report_of(index));
  }
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

std::vector<ConnectionReport> SaManager::connections() const {
  std::vector<ConnectionReport> result;
  std::unordered_map<const Connection*, std::size_t> places;
  result.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) {
    places.emplace(connection.get(), result.size());
    const auto inbound_spi = connection->inbound == no_sa ? 0 : inbound_.at(connection->inbound).spi;
    const auto outbound_spi =
        connection->outbound == no_sa ? 0 : outbound_.records()[connection->outbound].spi;
    result.push_back({connection->name, connection->line, inbound_spi, outbound_spi, connection->past_inbound,
                      connection->past_outbound});
  }
  // SAs that were given up but wait for the readers have not been added to the past yet.
  for (const auto phase : {Phase::active, Phase::lingering, Phase::retired, Phase::unpublished})
    for (const auto& record : inbound_.in(phase))
      if (const auto place = places.find(record.connection.get()); place != places.end())
        result[place->second].inbound += inbound_totals(parts_.store, record.index);
  for (std::uint32_t index = 0; index < outbound_.records().size(); ++index) {
    const auto place = places.find(outbound_.records()[index].connection.get());
    if (place != places.end()) result[place->second].outbound += outbound_totals(parts_.store, index);
  }
  std::ranges::sort(result, {}, &ConnectionReport::name);
  return result;
}

SpiReport SaManager::report(std::uint32_t spi) const {
  SpiReport result;
  result.facts = about(spi);
  if (const auto* record = inbound_.find(spi)) result.sas.push_back(report_of(*record));
  for (std::uint32_t index = 0; index < outbound_.records().size(); ++index) {
    const auto& record = outbound_.records()[index];
    if (record.spi == spi && record.phase != OutboundPhase::none) result.sas.push_back(report_of(index));
  }
  if (const auto* story = stories_.find(spi)) result.events = story->events;
  return result;
}

}  // namespace espgate::sa
