#include "control/daemon/ike_service.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

#include "control/config/ike_settings.hpp"
#include "control/daemon/ike_connections.hpp"
#include "control/daemon/ike_datagrams.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

// One thread leaves a core to the control loop and the workers; what waits longer than a peer's patience is
// better refused.
constexpr unsigned key_threads = 1;
constexpr std::size_t most_waiting_for_keys = 4'096;
// With ticks of ten milliseconds, 20,000 SAs are looked at within 0.2 s, in some hundred microseconds each.
constexpr std::size_t sas_a_tick = 1'024;
constexpr std::size_t demands_a_tick = 256;

void fill_random(std::span<std::uint8_t> bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the random number generator is broken; restart espgate");
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

IkeService::IkeService(Parts parts)
    : parts_(parts),
      work_(key_threads, most_waiting_for_keys),
      core_({fill_random, [this](const std::string& connection) { return reserve_spi(connection); }},
            ike::Limits{}) {}

void IkeService::configure(const config::Configuration& configuration, Moment now) {
  std::unordered_map<std::string, Known> wanted;
  std::vector<ike::ConnectionHandle> handles;
  on_demand_.clear();
  for (const auto& family : families_of(configuration)) {
    const bool same = is_as_before(family);
    auto handle = same ? connections_.at(family.front()->name).handle : ike_connection(family);
    handles.push_back(handle);
    for (const auto* connection : family) {
      if (connection->ike->start == config::Start::on_demand) on_demand_.push_back(connection->name);
      const auto demand = same ? connections_.at(connection->name).demand : demand_of(connection->name);
      wanted.emplace(connection->name, Known{handle, *connection, demand});
    }
  }
  next_demand_ = 0;
  connections_ = std::move(wanted);
  now_ = now;
  carry_out(core_.configure(handles, now.steady), now);
}

bool IkeService::is_as_before(std::span<const config::Connection* const> family) const {
  const auto known = connections_.find(family.front()->name);
  return known != connections_.end() && known->second.handle->children.size() == family.size() &&
         std::ranges::all_of(family, [&](const config::Connection* connection) {
           const auto before = connections_.find(connection->name);
           return before != connections_.end() && before->second.handle == known->second.handle &&
                  negotiates_alike(before->second.settings, *connection);
         });
}

void IkeService::received(std::span<const std::uint8_t> frame, Moment now) {
  if (auto datagram = read_ike_frame(frame)) feed(std::move(*datagram), now);
}

void IkeService::tick(Moment now) {
  if (core_.deadline() <= now.steady) feed(ike::TimerExpired{}, now);
  look_at_traffic(now);
  look_at_demand(now);
}

void IkeService::lifetime_reached(const sa::LifetimeNews& news, Moment now) {
  const auto connection = std::string(news.connection);
  if (!connections_.contains(connection)) return;
  std::uint32_t spi = news.spi;
  if (news.direction == sa::Direction::outbound) {
    const auto inbound = inbound_of_connection_.find(connection);
    if (inbound == inbound_of_connection_.end()) return;
    spi = inbound->second;
  }
  if (news.stage == sa::LifetimeStage::hard)
    feed(ike::HardExpired{spi}, now);
  else
    feed(ike::SoftExpired{spi}, now);
}

Expected<void> IkeService::known(const std::string& connection) const {
  if (connections_.contains(connection)) return {};
  return Error{fmt::format("no connection that negotiates keys is called {}", connection),
               "`show ike` names them"};
}

std::pair<std::string, std::string> IkeService::place_of(const std::string& connection) const {
  const auto& owner = connections_.at(connection).handle->name;
  return {owner, owner == connection ? std::string() : connection};
}

Expected<void> IkeService::initiate(const std::string& connection, Moment now) {
  if (auto found = known(connection); !found) return found;
  auto [owner, child] = place_of(connection);
  feed(ike::Initiate{std::move(owner), std::move(child)}, now);
  return {};
}

Expected<void> IkeService::terminate(const std::string& connection, Moment now) {
  if (auto found = known(connection); !found) return found;
  auto [owner, child] = place_of(connection);
  feed(ike::Terminate{std::move(owner), std::move(child)}, now);
  return {};
}

Expected<void> IkeService::rekey(const std::string& connection, What what, Moment now) {
  if (auto found = known(connection); !found) return found;
  feed(ike::Rekey{place_of(connection).first, what == What::child ? connection : std::string()}, now);
  return {};
}

// What an action brings about comes after the rest of the actions.
void IkeService::feed(ike::Event event, Moment now) {
  now_ = now;
  events_.push_back(std::move(event));
  if (events_.size() > 1) return;
  for (; !events_.empty(); events_.pop_front()) carry_out(core_.handle(events_.front(), now.steady), now);
}

void IkeService::carry_out(const ike::Actions& actions, Moment now) {
  for (const auto& action : actions) std::visit([&](const auto& one) { act(one, now); }, action);
}

// Lost like any datagram when there is no buffer: it is sent again.
void IkeService::act(const ike::SendDatagram& action, Moment) {
  const auto packet = ike_packet(action);
  if (packet.empty() || !parts_.path.send(packet))
    spdlog::debug("IKE message of {} bytes to {} was not sent", action.bytes.size(),
                  ike::to_string(action.to));
}

void IkeService::act(const ike::RunWork& action, Moment now) {
  const auto urgency = action.urgent ? ike::Urgency::established : ike::Urgency::newcomer;
  const auto accepted = work_.submit(urgency, action.run, [this, ticket = action.ticket](bool done) {
    feed(ike::WorkFinished{ticket, done}, daemon::now());
  });
  if (!accepted) feed(ike::WorkFinished{action.ticket, false}, now);
}

std::optional<std::uint32_t> IkeService::reserve_spi(const std::string& connection) {
  const auto spi = parts_.sas.allocate_spi();
  if (!spi) return std::nullopt;
  if (const auto reserved = parts_.sas.reserve(connection, *spi, now_); !reserved) {
    spdlog::error("connection {}: {}", connection, reserved.error().text());
    return std::nullopt;
  }
  inbound_[*spi].connection = connection;
  return *spi;
}

// What was negotiated, and what the configuration says of packets.
std::optional<sa::SaParameters> IkeService::parameters(const ike::ChildSaParameters& child) const {
  const auto known = connections_.find(child.child);
  if (known == connections_.end()) return std::nullopt;  // it left the configuration meanwhile
  const auto& settings = known->second.settings;
  sa::SaParameters result;
  result.spi = child.spi;
  result.suite = child.suite;
  result.keymat = child.keymat.bytes();
  result.local = child.local.address;
  result.remote = child.remote.address;
  result.mode = child.transport ? sa::Mode::transport : sa::Mode::tunnel;
  result.outer = settings.outer;
  result.encapsulation = child.udp_encapsulation ? sa::Encapsulation::udp : sa::Encapsulation::none;
  result.local_port = child.local.port;
  result.remote_port = child.remote.port;
  result.track_peer = settings.follow_peer;
  result.extended_sequence = child.extended_sequence;
  result.window_packets = settings.replay_window_packets;
  result.selectors = child.selectors;
  result.lifetime = settings.lifetime;
  return result;
}

void IkeService::act(const ike::InstallInbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  if (!wanted) return;
  const auto installed = parts_.sas.install_inbound(*wanted, now, sa::Predecessor::stays);
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed) {
    spdlog::error("connection {}: inbound SA: {}", action.sa.child, installed.error().text());
    return;
  }
  auto& spi = inbound_[action.sa.spi];
  spi = {action.sa.child, parts_.store.find(action.sa.spi), 0};
  to_look_at_.push_back(action.sa.spi);
}

void IkeService::act(const ike::InstallOutbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  if (!wanted) return;
  const auto installed = parts_.sas.install_outbound(action.sa.child, *wanted, now);
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed)
    spdlog::error("connection {}: outbound SA: {}", action.sa.child, installed.error().text());
  else
    inbound_of_connection_[action.sa.child] = action.inbound_spi;
}

// The SPI may have gone already, with a hard lifetime or a reload.
void IkeService::act(const ike::RetireInbound& action, Moment now) {
  inbound_.erase(action.inbound_spi);
  if (action.replaced)
    (void)parts_.sas.supersede_inbound(action.inbound_spi, now);
  else
    (void)parts_.sas.retire_inbound(action.inbound_spi, sa::Reason::deleted, now);
}

void IkeService::act(const ike::RetireOutbound& action, Moment now) {
  inbound_of_connection_.erase(action.child);
  if (parts_.sas.current_outbound_spi(action.child) == action.spi)
    (void)parts_.sas.retire_outbound(action.child, sa::Reason::deleted, now);
}

void IkeService::act(const ike::MoveChild& action, Moment now) {
  parts_.sas.peer_moved(action.inbound_spi, action.remote.address, action.remote.port, now);
}

void IkeService::act(const ike::TakeAddresses& action, Moment) {
  const auto known = connections_.find(action.connection);
  if (known != connections_.end() && parts_.assigned != nullptr)
    parts_.assigned->take(known->second.settings.local, action.addresses);
}

void IkeService::act(const ike::DropAddresses& action, Moment) {
  if (parts_.assigned != nullptr) parts_.assigned->drop(action.addresses);
}

void IkeService::act(const ike::LogLine& action, Moment) {
  switch (action.level) {
    case ike::Level::debug:
      return spdlog::debug("{}", action.text);
    case ike::Level::information:
      return spdlog::info("{}", action.text);
    case ike::Level::warning:
      return spdlog::warn("{}", action.text);
  }
}

// A good packet on an SA is a sign of life, and the first one may be what the peer's switch to it is known
// by.
void IkeService::look_at_traffic(Moment now) {
  for (std::size_t left = std::min(to_look_at_.size(), sas_a_tick); left > 0; --left) {
    const auto spi = to_look_at_.front();
    to_look_at_.pop_front();
    const auto found = inbound_.find(spi);
    if (found == inbound_.end()) continue;
    to_look_at_.push_back(spi);
    const auto packets = parts_.store.inbound_total(found->second.index).packets;
    if (std::exchange(found->second.packets, packets) != packets) feed(ike::TrafficArrived{spi}, now);
  }
}

// Packets that met a policy of a connection without SA: somebody wants it.
void IkeService::look_at_demand(Moment now) {
  for (std::size_t left = std::min(on_demand_.size(), demands_a_tick); left > 0; --left) {
    const auto name = on_demand_[next_demand_++ % on_demand_.size()];
    auto& known = connections_.at(name);
    const auto demand = demand_of(name);
    if (std::exchange(known.demand, demand) == demand) continue;
    if (!parts_.sas.current_sas(name).outbound) feed(ike::Initiate{known.handle->name, name}, now);
  }
}

std::uint64_t IkeService::demand_of(const std::string& connection) const {
  std::uint64_t packets = 0;
  for (const auto* policy : parts_.sas.policies_of(connection))
    if (policy->rule) packets += parts_.policies.hits(*policy->rule);
  return packets;
}

}  // namespace espgate::daemon
