#include "control/sa/sa_manager.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace espgate::sa {
namespace {

constexpr std::uint32_t first_spi = 256;    // 0 to 255 are reserved (RFC 4303 2.1)
constexpr int allocation_attempts = 1'000;  // at worst every other SPI is taken, so 2^-1000
constexpr std::size_t entries_kept_free = 64;

}  // namespace

Limits store_limits(const config::Limits& limits, unsigned workers, std::uint64_t tsc_hz) {
  constexpr std::uint32_t spare = 64;
  return {limits.inbound_sas + limits.tombstones + spare,
          limits.outbound_sas + limits.outbound_sas / 8 + spare, workers, tsc_hz};
}

SaManager::SaManager(Parts parts, const Options& options)
    : parts_(std::move(parts)),
      stories_(options.tombstones, parts_.store.limits().inbound),
      reaper_(parts_.grace,
              [this](Direction direction, std::uint32_t index) {
                direction == Direction::inbound ? inbound_.release(index) : outbound_.release(index);
              }),
      keys_(options.tombstones),
      inbound_(parts_.store, reaper_, stories_, lifetimes_, keys_,
               {options.tombstones, options.tombstone, options.linger}),
      earlier_(parts_.store, [this](std::uint32_t spi) { return is_followed(spi); }),
      outbound_(parts_.store, reaper_, lifetimes_, keys_),
      book_(parts_.policies, parts_.store.limits().outbound,
            [this](std::uint32_t index) { unlink_unnamed(index); }) {
  // Peers at any address come one by one.
  connections_.reserve(parts_.store.limits().outbound);
  if (parts_.journal != nullptr) earlier_.publish(parts_.journal->left_behind());
}

Expected<std::uint32_t> SaManager::allocate_spi() {
  for (int i = 0; i < allocation_attempts; ++i) {
    const auto spi = parts_.random();
    if (spi >= first_spi && about(spi).standing == SpiFacts::Standing::unknown) return spi;
  }
  return Error{"no unused SPI found", "the random number generator is broken; restart espgate"};
}

Expected<void> SaManager::reserve(const std::string& name, std::uint32_t spi, Moment now) {
  const auto owner = connection(name);
  if (!owner) return owner.error();
  const auto record = reserve_inbound(spi, *owner, now);
  if (!record) return record.error();
  return {};
}

Expected<void> SaManager::install_inbound(const SaParameters& parameters, Moment now,
                                          Predecessor predecessor) {
  auto* record = inbound_.find(parameters.spi);
  if (!record || record->phase != Phase::larval)
    return Error{fmt::format("SPI 0x{:x} is not reserved", parameters.spi), "reserve it first"};
  if (auto done = inbound_.install(*record, parameters, now); !done) return done;
  make_current(*record, now, predecessor);
  record->connection->inbound_mark = {};
  return {};
}

Expected<void> SaManager::supersede_inbound(std::uint32_t spi, Moment now) {
  auto* record = inbound_.find(spi);
  if (!record || record->phase != Phase::active)
    return Error{fmt::format("no active inbound SA has SPI 0x{:x}", spi), ""};
  auto& connection = *record->connection;
  leave_current(*record);
  const auto successor = connection.inbound == no_sa ? 0 : inbound_.at(connection.inbound).spi;
  inbound_.supersede(*record, successor, now);
  return {};
}

Expected<void> SaManager::install_outbound(const std::string& name, const SaParameters& parameters,
                                           Moment now) {
  const auto owner = connection(name);
  if (!owner) return owner.error();
  if (auto done = switch_outbound(*owner, parameters, now); !done) return done;
  (*owner)->outbound_mark = {};
  return {};
}

Expected<void> SaManager::replace(const std::string& name, const SaParameters& inbound,
                                  const SaParameters& outbound, Moment now) {
  const auto owner = connection(name);
  if (!owner) return owner.error();
  auto* record = inbound_.find(inbound.spi);
  if (!record || record->phase != Phase::larval || record->connection != *owner) {
    const auto reserved = reserve_inbound(inbound.spi, *owner, now);
    if (!reserved) return reserved.error();
    record = *reserved;
  }
  auto done = inbound_.install(*record, inbound, now);
  if (done) done = switch_outbound(*owner, outbound, now);
  if (!done) {
    inbound_.unpublish(*record, Happening::withdrawn, now);
    return done;
  }
  make_current(*record, now);
  (*owner)->inbound_mark = {};
  (*owner)->outbound_mark = {};
  return {};
}

Expected<void> SaManager::retire_inbound(std::uint32_t spi, Reason reason, Moment now) {
  auto* record = inbound_.find(spi);
  if (!record || record->phase == Phase::retired)
    return Error{fmt::format("no inbound SA has SPI 0x{:x}", spi), ""};
  leave_current(*record);
  inbound_.retire(*record, reason, now);
  return {};
}

Expected<void> SaManager::retire_outbound(const std::string& name, Reason reason, Moment now) {
  const auto owner = connection(name);
  if (!owner) return owner.error();
  auto& connection = **owner;
  if (connection.outbound == no_sa) return Error{fmt::format("connection {} has no outbound SA", name), ""};
  if (connection.outbound_mark == Fingerprint{}) {
    drop_outbound(connection, reason, now);
  } else {
    // Nobody negotiates another SA for manual keys: policies go on naming this one, so that what they drop
    // counts as an SA that is not active, not as one to come.
    const auto index = std::exchange(connection.outbound, no_sa);
    connection.outbound_mark = {};
    outbound_.retire(index, reason, now);
    unlink_unnamed(index);
  }
  return {};
}

unsigned SaManager::move_on(Moment now) {
  constexpr std::size_t most = 4;  // of each; they take microseconds
  const auto moved = inbound_.move_on(now, most) + reaper_.collect(most);
  return static_cast<unsigned>(moved) + (end_a_lifetime(now) ? 1U : 0U) + (apply_deferred(now) ? 1U : 0U);
}

bool SaManager::apply_deferred(Moment now) {
  if (deferred_.empty() || deferred_wait_ || configuring()) return false;
  const auto before = deferred_.size();
  for (const auto& problem : retry_deferred(1, now)) parts_.log(Severity::warning, problem.text());
  deferred_wait_ = deferred_.size() == before;
  return !deferred_wait_;
}

void SaManager::tick(Moment now) {
  // A negotiation wants its SPI at once, so tombstones make room beforehand.
  inbound_.make_room(std::min<std::size_t>(entries_kept_free, parts_.store.limits().inbound / 16), now);
  send_dummies(now);
  book_.tell_refused();
  while (!former_.empty() && former_.begin()->second->has_no_sas()) former_.erase(former_.begin());
  deferred_wait_ = false;
}

Expected<ConnectionHandle> SaManager::connection(const std::string& name) const {
  if (name.empty()) return unowned_;
  const auto found = connections_.find(name);
  if (found == connections_.end())
    return Error{fmt::format("no connection is called {}", name),
                 "`show sa` names those that have SAs, the configuration file all"};
  return found->second;
}

Expected<void> SaManager::switch_outbound(const ConnectionHandle& connection, const SaParameters& parameters,
                                          Moment now) {
  const auto index = outbound_.install(parameters, connection, now);
  if (!index) return index.error();
  const auto before = connection->outbound;
  if (parts_.outbound_path) parts_.outbound_path(*index);
  connection->outbound = *index;
  const auto pointed = point_policies(*connection);
  if (!pointed) {
    connection->outbound = before;
    (void)point_policies(*connection);
  }
  const auto loser = pointed ? before : *index;
  if (loser == no_sa) return pointed;
  outbound_.retire(loser, Reason::rekeyed, now);
  unlink_unnamed(loser);
  return pointed;
}

void SaManager::drop_outbound(Connection& connection, Reason reason, Moment now) {
  const auto index = connection.outbound;
  if (index == no_sa) return;
  connection.outbound = no_sa;
  connection.outbound_mark = {};
  outbound_.retire(index, reason, now);
  // A policy that the sink refuses was never in force.
  if (auto pointed = point_policies(connection); !pointed)
    parts_.log(Severity::warning, fmt::format("connection {}: {}", connection.name, pointed.error().text()));
  unlink_unnamed(index);
  begin_anew(connection);
}

void SaManager::leave_current(const InboundRecord& record) {
  auto& connection = *record.connection;
  auto& beside = connection.inbound_beside;
  std::erase(beside, record.spi);
  if (connection.inbound != record.index) return;
  connection.inbound = no_sa;
  connection.inbound_mark = {};
  while (!beside.empty() && connection.inbound == no_sa) {
    const auto* other = inbound_.find(beside.back());
    beside.pop_back();
    if (other != nullptr && other->phase == Phase::active && other->connection == record.connection)
      connection.inbound = other->index;
  }
  if (connection.inbound == no_sa) begin_anew(connection);
}

ConnectionHandle SaManager::new_connection() {
  auto connection = std::make_shared<Connection>();
  begin_anew(*connection);
  return connection;
}

void SaManager::begin_anew(Connection& connection) {
  connection.owner = ++last_owner_;
}

void SaManager::make_current(InboundRecord& record, Moment now, Predecessor predecessor) {
  auto& connection = *record.connection;
  if (connection.inbound != no_sa && predecessor == Predecessor::lingers)
    inbound_.supersede(inbound_.at(connection.inbound), record.spi, now);
  else if (connection.inbound != no_sa)
    connection.inbound_beside.push_back(inbound_.at(connection.inbound).spi);
  connection.inbound = record.index;
}

}  // namespace espgate::sa
