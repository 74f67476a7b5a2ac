// SaManager: SAs and policies follow the configuration, by difference.
//
// The order of a reload keeps traffic protected at each step: protecting policies and their SAs come
// first, then bypass and discard, and last what is no longer wanted goes.
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "control/sa/sa_manager_plan.hpp"

namespace espgate::sa {

// Why a connection has to be tried again.
enum class SaManager::Again : std::uint8_t { no, policy_refused, store_full };

// What came of one connection.
struct SaManager::Application {
  bool changed = false;
  Again again = Again::no;
  std::vector<Error> errors;
};

namespace {

// Parameters whose key does not outlive them.
struct KeyedParameters : SaParameters {
  KeyedParameters(const config::Connection& connection, const config::ManualSa& sa) {
    spi = sa.spi;
    suite = connection.suite;
    keymat = sa.keymat.bytes();
    local = connection.local;
    remote = connection.remote;
    encapsulation =
        connection.encapsulation == config::Encapsulation::udp ? Encapsulation::udp : Encapsulation::none;
    local_port = connection.local_port;
    remote_port = connection.remote_port;
    mode = connection.mode == config::Mode::transport ? Mode::transport : Mode::tunnel;
    outer = connection.outer;
    tfc_bytes = connection.tfc_bytes;
    track_peer = connection.follow_peer;
    extended_sequence = connection.extended_sequence;
    lifetime = connection.lifetime;
  }
  KeyedParameters(const KeyedParameters&) = delete;
  KeyedParameters& operator=(const KeyedParameters&) = delete;
  ~KeyedParameters() { OPENSSL_cleanse(keymat.data(), keymat.size()); }
};

constexpr std::size_t steps_between_questions = 16;

// The key was in use before: the SA goes on `leap` beyond the last number that was used.
void go_on(SaParameters& parameters, const KeyUse& past, std::uint64_t leap, Moment now) {
  parameters.used = past.until(now);
  const auto end = last_sequence(parameters.extended_sequence);
  const auto last = std::min(past.sequence, end);
  parameters.sequence = last + std::min(leap, end - last);
}

const Error no_inbound_room{"the table of inbound SAs is full",
                            "raise limits.inbound-sas and restart espgate"};
const Error no_outbound_room{"the table of outbound SAs is full",
                             "raise limits.outbound-sas and restart espgate"};

}  // namespace

std::string ConfigureProblem::text() const {
  const auto who = connection.empty() ? std::string{} : "connection " + connection + ": ";
  return fmt::format("{}:{}: {}{}", file, line, who, error.text());
}

// What `stop` said, on its way out of the work.
class SaManager::Stopped {};

ConfigureResult SaManager::configure(const config::Configuration& configuration, Moment now,
                                     const std::function<bool()>& stop) {
  pause_ = [&stop, steps = std::size_t{0}]() mutable {
    if (stop && ++steps % steps_between_questions == 0 && stop()) throw Stopped();
  };
  ConfigureResult result;
  try {
    carry_out(configuration, now, result);
  } catch (const Stopped&) {
    result.stopped = true;
  }
  pause_ = {};
  return result;
}

void SaManager::carry_out(const config::Configuration& configuration, Moment now, ConfigureResult& result) {
  deferred_.clear();
  file_ = configuration.file;
  keep_peers(configuration);
  auto plan = this->plan(configuration, result);
  hand_over_spis(plan, now);
  for (const auto& [connection, wanted, added, policies_changed, counts] : plan.work) {
    pause_();
    Application application;
    application.changed = policies_changed;
    apply(connection, *wanted, application, now);
    if (counts) ++(added ? result.added : application.changed ? result.changed : result.unchanged);
    if (application.again != Again::no) {
      deferred_.push_back(*wanted);
      continue;
    }
    for (auto& error : application.errors)
      result.problems.push_back({wanted->name, file_, wanted->line, std::move(error)});
  }
  apply_policies(plan, nullptr);
  result.removed = remove_leaving(plan, now);
  book_.remove_unwanted(pause_);
  apply_policies(plan, &result);
  // What was refused for want of room may find some now.
  for (auto& problem : retry_deferred(deferred_.size(), now)) result.problems.push_back(std::move(problem));
  book_.tell_refused();
  result.deferred = deferred_.size();
  index_peers(configuration);
  list_senders();
  free_slowly(plan.connections, pause_);
  free_slowly(plan.spis, pause_);
  free_slowly(plan.work, pause_);
}

// An SPI that went from one connection to another is free for its new owner from here on.
void SaManager::hand_over_spis(const Plan& plan, Moment now) {
  for (const auto& [spi, wanted] : plan.spis) {
    pause_();
    auto* holder = inbound_.find(spi);
    if (!holder || holder->connection->name == wanted->name) continue;
    give_up(*holder, now);
  }
}

void SaManager::give_up(InboundRecord& record, Moment now) {
  auto& connection = *record.connection;
  if (connection.inbound == record.index) {
    connection.inbound = no_sa;
    connection.inbound_mark = {};
  }
  inbound_.unpublish(record, Happening::replaced, now);
}

// Policies come first: even if no SA can be installed, or one of them be put in, traffic must not leave in
// clear.
void SaManager::apply(const ConnectionHandle& connection, const config::Connection& wanted,
                      Application& result, Moment now) {
  if (auto pointed = point_policies(*connection); !pointed) {
    result.errors.push_back(pointed.error());
    result.again = Again::policy_refused;
    return;
  }
  apply_inbound(connection, wanted, result, now);
  if (result.again == Again::no) apply_outbound(connection, wanted, result, now);
}

void SaManager::apply_inbound(const ConnectionHandle& connection, const config::Connection& wanted,
                              Application& result, Moment now) {
  auto& current = connection->inbound;
  if (!wanted.inbound) {
    if (current == no_sa || connection->inbound_mark == Fingerprint{}) return;
    result.changed = true;
    (void)retire_inbound(inbound_.at(current).spi, Reason::deleted, now);
    return;
  }
  KeyedParameters parameters(wanted, *wanted.inbound);
  parameters.window_packets = wanted.replay_window_packets;
  parameters.selectors = config::protected_by(wanted);
  const auto mark = fingerprint(parameters);
  if (current != no_sa && mark == connection->inbound_mark) return;
  result.changed = true;
  if (inbound_.full()) {
    result.errors.push_back(no_inbound_room);
    result.again = Again::store_full;
    return;
  }
  // Before the SPI is taken from the SA that has it.
  if (auto valid = validate_inbound(parameters); !valid) {
    result.errors.push_back({"inbound: " + valid.error().what, valid.error().remedy});
    return;
  }
  if (auto* holder = inbound_.find(parameters.spi)) {
    if (holder->connection != connection && holder->phase <= Phase::active) {
      result.errors.push_back(
          {fmt::format("inbound SPI 0x{:x} belongs to connection {} (line {})", parameters.spi,
                       holder->connection->name, holder->connection->line),
           "give each inbound SA an SPI of its own"});
      return;
    }
    give_up(*holder, now);
  }
  begin_anew(*connection);
  // Everything that was seen is left of the window then. Packets in flight that the old SA has not seen are
  // the price, at most a window of them.
  if (const auto past = keys_.recall(mark.key))
    go_on(parameters, *past, past->sequence == 0 ? 0 : parameters.window_packets, now);
  if (auto done = install_in_place(connection, parameters, now); !done) {
    result.errors.push_back({"inbound: " + done.error().what, done.error().remedy});
    return;
  }
  inbound_.at(current).key_mark = mark.key;
  connection->inbound_mark = mark;
}

Expected<void> SaManager::install_in_place(const ConnectionHandle& connection, const SaParameters& parameters,
                                           Moment now) {
  const auto record = reserve_inbound(parameters.spi, connection, now);
  if (!record) return record.error();
  if (auto done = inbound_.install(**record, parameters, now); !done) {
    inbound_.unpublish(**record, Happening::withdrawn, now);
    return done;
  }
  make_current(**record, now);
  return {};
}

void SaManager::apply_outbound(const ConnectionHandle& connection, const config::Connection& wanted,
                               Application& result, Moment now) {
  const auto current = connection->outbound;
  if (!wanted.outbound) {
    if (current == no_sa || connection->outbound_mark == Fingerprint{}) return;
    result.changed = true;
    drop_outbound(*connection, Reason::deleted, now);
    return;
  }
  KeyedParameters parameters(wanted, *wanted.outbound);
  if (wanted.by_route)
    parameters.selectors = config::protected_by(wanted);  // there are no policies to have them
  const auto mark = fingerprint(parameters);
  if (current != no_sa && mark == connection->outbound_mark) return;
  result.changed = true;
  if (outbound_.full()) {
    result.errors.push_back(no_outbound_room);
    result.again = Again::store_full;
    return;
  }
  begin_anew(*connection);
  const bool goes_on = current != no_sa && mark.key == connection->outbound_mark.key;
  const auto past = goes_on ? std::optional(outbound_.use_of(current)) : keys_.recall(mark.key);
  // The peer has one window for both SAs and must see no number twice, so the new one begins where the old
  // one will have stopped by the time that no worker uses it any more.
  if (past) go_on(parameters, *past, 2 * IvBases::handover_packets, now);
  if (auto done = switch_outbound(connection, parameters, now); !done) {
    result.errors.push_back({"outbound: " + done.error().what, done.error().remedy});
    return;
  }
  outbound_.mark_key(connection->outbound, mark.key);
  connection->outbound_mark = mark;
}

// Twice: what finds the table full before the old policies are gone may find room behind them.
void SaManager::apply_policies(const Plan& plan, ConfigureResult* result) {
  for (const auto& [policy, decision] : plan.policies) {
    pause_();
    if (auto done = book_.set(*policy, decision); !done && result != nullptr)
      result->problems.push_back({"", file_, policy->line, done.error()});
  }
}

std::size_t SaManager::remove_leaving(const Plan& plan, Moment now) {
  std::size_t removed = 0;
  for (auto entry = connections_.begin(); entry != connections_.end();) {
    pause_();
    auto& connection = *entry->second;
    if (plan.connections.contains(connection.name)) {
      ++entry;
      continue;
    }
    connection.configured = false;
    connection.policies.clear();  // they drop until they are removed
    connection.inbound = no_sa;
    drop_outbound(connection, Reason::deleted, now);
    const auto inbound_sas = connection.inbound_sas;
    for (const auto index : inbound_sas)
      if (auto& record = inbound_.at(index); record.phase < Phase::retired)
        inbound_.retire(record, Reason::deleted, now);
    former_.emplace(++last_former_, entry->second);
    entry = connections_.erase(entry);
    ++removed;
  }
  return removed;
}

// Stops at the first that still finds the store full. When nothing is left that could make room, the
// rest are problems.
std::vector<ConfigureProblem> SaManager::retry_deferred(std::size_t most, Moment now) {
  std::vector<ConfigureProblem> problems;
  std::optional<Error> full;
  for (; most > 0 && !deferred_.empty() && !full; --most) {
    if (pause_) pause_();
    const auto wanted = std::move(deferred_.front());
    deferred_.pop_front();
    Application application;
    apply(connections_.at(wanted.name), wanted, application, now);
    if (application.again == Again::store_full) {
      full = application.errors.back();
      deferred_.push_front(wanted);
    } else {
      for (auto& error : application.errors)
        problems.push_back({wanted.name, file_, wanted.line, std::move(error)});
    }
  }
  if (!full) return problems;
  inbound_.make_room(deferred_.size(), now);
  if (reaper_.waiting() > 0 || !inbound_.in(Phase::lingering).empty()) return problems;
  for (const auto& wanted : deferred_) problems.push_back({wanted.name, file_, wanted.line, *full});
  deferred_.clear();
  return problems;
}

void SaManager::index_peers(const config::Configuration& configuration) {
  decltype(peers_) peers;
  peers.reserve(parts_.store.limits().outbound);  // peers at any address come one by one
  for (const auto& wanted : configuration.connections) {
    pause_();
    if (!wanted.any_peer) peers.try_emplace(wanted.remote, connections_.at(wanted.name));
  }
  for (const auto& [name, peer] : peers_of_many_) {
    pause_();
    peers.try_emplace(peer.settings.remote, connections_.at(name));
  }
  for (const auto& [name, connection] : connections_) {
    pause_();
    if (connection->moved_to) peers.try_emplace(*connection->moved_to, connection);
  }
  peers_.swap(peers);
  free_slowly(peers, pause_);
}

}  // namespace espgate::sa
