#include "control/daemon/ike_service.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/ike_settings.hpp"
#include "control/daemon/ike_connections.hpp"
#include "control/daemon/ike_datagrams.hpp"
#include "control/daemon/log.hpp"
#include "control/daemon/random.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

// What waits longer than a peer's patience is better refused.
constexpr std::size_t most_waiting_for_keys = 4'096;

// One for each CPU that has nothing else to do, as far as one control loop can use them.
unsigned key_threads(const Cpus& spare) {
  constexpr std::size_t most = 8;
  return static_cast<unsigned>(std::clamp<std::size_t>(spare.size(), 1, most));
}

ike::Limits limits_of(const config::Limits& configured) {
  ike::Limits limits;
  limits.ike_sas = configured.ike_sas;
  limits.ike_sas_per_peer = configured.ike_sas_per_peer;
  limits.half_open = configured.ike_half_open;
  limits.half_open_cookies = configured.ike_cookies_from;
  limits.half_open_per_source = configured.ike_half_open_per_source;
  return limits;
}

// Connections that share an IKE SA, the one that it is of in front.
using Family = std::vector<const config::Connection*>;

std::vector<Family> families_of(const config::Configuration& configuration) {
  std::vector<Family> families;
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (const auto& connection : configuration.connections)
    if (connection.ike && connection.ike->child_of.empty()) {
      by_name.emplace(connection.name, families.size());
      families.push_back({&connection});
    }
  for (const auto& connection : configuration.connections)
    if (connection.ike && !connection.ike->child_of.empty())
      families[by_name.at(connection.ike->child_of)].push_back(&connection);
  return families;
}

}  // namespace

IkeService::IkeService(Parts parts, const config::Limits& limits)
    : parts_(parts),
      work_(key_threads(parts.spare_cpus), most_waiting_for_keys,
            [spare = parts.spare_cpus] { give_way("IKE keys", spare); }),
      core_({fill_random,
             [this](const std::string& connection) { return reserve_spi(connection); },
             parts.ike_spis,
             {},
             [] { return ike_log().should_log(spdlog::level::debug); },
             [this] { return ended_.is_allowed(); }},
            limits_of(limits)),
      history_(
          [this](const net::Address& address) { return !parts_.sas.connection_of_peer(address).empty(); },
          limits.inbound_sas),
      failures_(limits.ike_sas) {
  inbound_.reserve(limits.inbound_sas);
  in_use_.reserve(limits.outbound_sas);
  peer_names_.reserve(limits.ike_sas);
}

IkeService::Change IkeService::configure(const config::Configuration& configuration, Moment now,
                                         const std::function<void()>& pause) {
  is_configuring_ = true;
  now_ = now;
  ended_.allow(configuration.debug_keys_export);
  Change change;
  std::unordered_map<std::string, Known> wanted;
  wanted.reserve(configuration.connections.size());
  std::vector<ike::ConnectionHandle> handles;
  std::vector<ike::IkeCore::Successor> successors;
  on_demand_.clear();
  movable_.clear();
  for (const auto& family : families_of(configuration)) {
    if (pause) pause();
    const auto inherited = inherited_by(family);
    const bool same = inherited.handle && inherited.children.size() == family.size() &&
                      inherited.handle->children.size() == family.size() &&
                      inherited.handle->nat_keepalive.count() == family.front()->nat_keepalive_s;
    auto handle = same ? inherited.handle : ike_connection(family);
    if (inherited.handle && !same) successors.push_back({inherited.handle, handle, inherited.children});
    handles.push_back(handle);
    for (const auto* connection : family) {
      const auto before = connections_.find(connection->name);
      const bool known = before != connections_.end();
      const bool kept = inherited.children.contains(connection->name);
      ++(kept ? change.kept : known ? change.changed : change.added);
      Known entry;
      if (known) {
        entry = std::move(before->second);
        before->second.handle = entry.handle;  // commands ask for it until all is done
      }
      entry.settings = *connection;
      entry.handle = handle;
      if (!kept) {
        failures_.forget(connection->name);
        entry.demand = demand_of(*connection);
        entry.down_because.clear();
        entry.usable.reset();
      }
      if (connection->ike->start == config::Start::on_demand) on_demand_.push_back(connection->name);
      const auto& others = connection->ike->other_addresses;
      if (connection == family.front() && !others.empty() && !connection->any_peer) {
        std::vector<net::Address> ours{connection->local};
        ours.insert(ours.end(), others.begin(), others.end());
        movable_.add({connection->name, std::move(ours), connection->remote});
      }
      wanted.emplace(connection->name, std::move(entry));
    }
  }
  change.removed = connections_.size() - change.kept - change.changed;
  next_demand_ = 0;
  connections_.swap(wanted);
  for (; !wanted.empty(); wanted.erase(wanted.begin()))
    if (pause) pause();
  std::erase_if(in_use_, [&](const auto& entry) {
    if (pause) pause();
    return !connections_.contains(entry.first) && !peers_.contains(entry.first);
  });
  carry_out(core_.configure(handles, now.steady, successors, pause), now, pause);
  while (const auto* movable = movable_.next()) {
    look_where_we_are(*movable, now);
    if (pause) pause();
  }
  handle_events(now, pause);
  is_configuring_ = false;
  return change;
}

// With the IKE SA those that would negotiate the same again keep their children.
IkeService::Inherited IkeService::inherited_by(std::span<const config::Connection* const> family) const {
  Inherited inherited;
  const auto front = connections_.find(family.front()->name);
  if (front == connections_.end() || front->second.handle->name != front->first ||
      !shares_ike_sa(front->second.settings, *family.front()))
    return inherited;
  inherited.handle = front->second.handle;
  for (const auto* connection : family) {
    const auto before = connections_.find(connection->name);
    if (before != connections_.end() && before->second.handle == inherited.handle &&
        negotiates_alike(before->second.settings, *connection))
      inherited.children.insert(connection->name);
  }
  return inherited;
}

void IkeService::received(std::span<const std::uint8_t> frame, Moment now) {
  auto datagram = read_ike_frame(frame);
  if (!datagram) return;
  log_message("from", datagram->from, datagram->bytes, now);
  feed(std::move(*datagram), now);
}

unsigned IkeService::run_timer(Moment now) {
  work_.hand_over();
  if (must_wait() || core_.deadline() > now.steady) return 0;
  feed(ike::TimerExpired{}, now);
  return 1;
}

void IkeService::tick(Moment now) {
  if (const auto more = step_lines_.settle(now.steady); more != 0)
    ike_log().debug("{} more messages and steps were not told of: there are more than {} a second", more,
                    step_lines_a_second);
  late_.send_due(now.steady, [this](std::span<const std::uint8_t> packet) { parts_.path.send(packet); });
  if (must_wait()) return;
  look_at_traffic(now);
  look_at_demand(now);
}

std::uint32_t IkeService::inbound_spi_of(const std::string& connection, sa::Direction direction,
                                         std::uint32_t spi) const {
  if (direction == sa::Direction::inbound) return inbound_.contains(spi) ? spi : 0;
  const auto used = in_use_.find(connection);
  return used != in_use_.end() && used->second.outbound_spi == spi ? used->second.inbound_spi : 0;
}

void IkeService::lifetime_reached(const sa::LifetimeNews& news, Moment now) {
  const auto spi = inbound_spi_of(std::string(news.connection), news.direction, news.spi);
  if (spi == 0) return;
  if (news.stage == sa::LifetimeStage::hard)
    feed(ike::HardExpired{spi}, now);
  else
    feed(ike::SoftExpired{spi}, now);
}

bool IkeService::delete_child(const std::string& connection, sa::Direction direction, std::uint32_t spi,
                              Moment now) {
  const auto inbound = inbound_spi_of(connection, direction, spi);
  if (inbound != 0) feed(ike::SaDeleted{inbound}, now);
  return inbound != 0;
}

Expected<void> IkeService::known(const std::string& connection) const {
  // Of one that left the configuration peers may be there for a while.
  if (connections_.contains(configured_name(connection))) return {};
  return Error{fmt::format("no connection that negotiates keys is called {}", connection),
               "`show ike` names them"};
}

IkeService::Place IkeService::place_of(const std::string& name) const {
  const auto* of_many = peer(name);
  const auto& connection = configured_name(name);
  const auto& owner = connections_.at(connection).handle->name;
  return {owner, owner == connection ? std::string() : connection,
          of_many == nullptr ? std::nullopt : std::optional(of_many->identity)};
}

Expected<void> IkeService::initiate(const std::string& connection, Moment now) {
  if (auto found = known(connection); !found) return found;
  if (peers_.contains(connection) || connections_.at(connection).settings.any_peer)
    return Error{fmt::format("only the peers of {} can begin: they may be at any address", connection),
                 "begin there"};
  auto place = place_of(connection);
  const auto forget = [&](const std::string& name) {
    const auto wanted = connections_.find(name);
    if (wanted == connections_.end()) return;
    wanted->second.down_because.clear();
    wanted->second.is_terminated = false;
  };
  forget(connection);
  if (place.child.empty())
    for (const auto& child : connections_.at(connection).handle->children) forget(child.name);
  failures_.forget(connection);
  failures_.forget(place.connection);  // its IKE SA
  feed(ike::Initiate{std::move(place.connection), std::move(place.child)}, now);
  return {};
}

Expected<void> IkeService::terminate(const std::string& connection, Moment now) {
  if (auto found = known(connection); !found) return found;
  auto place = place_of(connection);
  if (!place.peer) {
    const auto note = [&](Known& terminated, std::string because) {
      terminated.down_because = std::move(because);
      terminated.down_since = now.steady;
      terminated.is_terminated = true;
    };
    auto& terminated = connections_.at(connection);
    // With its IKE SA go those that are children of it.
    if (place.child.empty())
      for (const auto& child : terminated.handle->children)
        if (const auto other = connections_.find(child.name); other != connections_.end())
          note(other->second,
               fmt::format("it was terminated with {}; `initiate` brings it up again", connection));
    note(terminated, terminated.settings.any_peer ? "it was terminated; its peers may come again"
                                                  : "it was terminated; `initiate` brings it up again");
  }
  feed(ike::Terminate{std::move(place.connection), std::move(place.child), std::move(place.peer)}, now);
  return {};
}

bool IkeService::has_what_to_rekey(const std::string& name, What what) const {
  if (peers_.contains(name)) return true;
  if (connections_.at(name).settings.any_peer) return !peers_of(name).empty();
  if (what == What::child) return parts_.sas.current_outbound_spi(name) != 0;
  return std::ranges::any_of(core_.ike_sas_of(place_of(name).connection), [](const ike::IkeSa* sa) {
    return sa->state() == ike::IkeSa::State::established;
  });
}

Expected<void> IkeService::rekey(const std::string& connection, What what, Moment now) {
  if (auto found = known(connection); !found) return found;
  if (!has_what_to_rekey(connection, what))
    return Error{fmt::format("{} has no {} SA to replace", connection, what == What::ike ? "IKE" : "child"),
                 fmt::format("`explain {}` tells what there is", connection)};
  auto place = place_of(connection);
  auto child = what == What::child ? configured_name(connection) : std::string();
  feed(ike::Rekey{std::move(place.connection), std::move(child), std::move(place.peer)}, now);
  return {};
}

const std::deque<IkeService::Line>* IkeService::lines(const std::string& connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : &found->second.lines;
}

std::string IkeService::down_because(const std::string& connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? std::string() : found->second.down_because;
}

std::string IkeService::failure(const std::string& connection) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return "";
  const auto& owner = found->second.handle->name;
  auto failure = core_.failure(owner, now().steady);
  const bool is_later = found->second.down_because.empty() || failure.when >= found->second.down_since;
  return is_later ? std::move(failure.reason) : std::string();
}

void IkeService::stop(Moment now) {
  now_ = now;
  is_stopping_ = true;
  carry_out(core_.stop(now.steady), now);
  handle_events(now);
}

// What an action brings about comes after the rest of the actions.
void IkeService::feed(ike::Event event, Moment now) {
  events_.push_back(std::move(event));
  if (!is_carrying_out_ && !must_wait()) handle_events(now);
}

void IkeService::handle_events(Moment now, const std::function<void()>& pause) {
  now_ = now;
  for (; !events_.empty(); events_.pop_front()) {
    history_.note(events_.front(), now);
    carry_out(core_.handle(events_.front(), now.steady), now, pause);
    if (pause) pause();
  }
}

void IkeService::carry_out(const ike::Actions& actions, Moment now, const std::function<void()>& pause) {
  is_carrying_out_ = true;
  for (const auto& action : actions) {
    history_.note(action, now);
    std::visit([&](const auto& one) { act(one, now); }, action);
    if (pause) pause();
  }
  is_carrying_out_ = false;
}

}  // namespace espgate::daemon
