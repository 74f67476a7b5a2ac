// SaManager: where the peers behind NATs are, and keeping the mappings to them; peers that came to a
// connection which has them at any address.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "control/sa/sa_manager.hpp"
#include "datapath/sa/peer_address.hpp"

namespace espgate::sa {
namespace {

constexpr std::size_t keepalives_a_call = 256;  // looked at; each is somewhere else in memory

}  // namespace

void SaManager::peer_moved(std::uint32_t spi, const net::Address& peer, std::uint16_t port, Moment now) {
  const auto* record = inbound_.find(spi);
  if (record == nullptr || record->phase == Phase::larval || record->phase == Phase::retired) return;
  auto& connection = *record->connection;
  const auto& sa = parts_.store.inbound(record->index);
  if (sa.outer_family != peer.family) return;
  const auto before = net::Address::from_bytes(sa.outer_family, sa.source);
  if (before == peer && sa.remote_port == port) return;  // told twice
  parts_.log(
      Severity::info,
      fmt::format("connection {}: peer moved from {} port {} to {} port {} (SPI 0x{:08x})", connection.name,
                  net::to_string(before), sa.remote_port, net::to_string(peer), port, spi));
  ++connection.peer_moves;
  connection.peer_moved = now;
  parts_.store.move_peer(record->index, connection.outbound, peer, port);
  if (parts_.outbound_path && connection.outbound != no_sa) parts_.outbound_path(connection.outbound);
  if (connection.moved_to) {
    const auto known = peers_.find(*connection.moved_to);
    if (known != peers_.end() && known->second == record->connection) peers_.erase(known);
    connection.moved_to.reset();
  }
  if (peers_.try_emplace(peer, record->connection).second) connection.moved_to = peer;
}

bool SaManager::is_followed(std::uint32_t earlier_spi) const {
  const auto noted = parts_.journal->find(earlier_spi);
  if (!noted) return true;
  const auto found = peers_.find(noted->peer);
  return found != peers_.end() && found->second->inbound != no_sa;
}

void SaManager::visit_silent(Moment now, const std::function<void(const OutboundSa&)>& send) {
  for (auto left = std::min(keepalives_a_call, keepalive_senders_.size()); left > 0; --left) {
    const auto& connection = keepalive_senders_[next_keepalive_sender_++ % keepalive_senders_.size()];
    if (connection->outbound == no_sa) continue;
    if (parts_.store.outbound(connection->outbound).encapsulation != Encapsulation::udp) continue;
    const auto packets = parts_.store.outbound_total(connection->outbound).packets;
    if (packets != std::exchange(connection->packets_sent, packets)) connection->last_sent = now;
    if (now.steady - connection->last_sent.steady < std::chrono::seconds(connection->nat_keepalive_s))
      continue;
    connection->last_sent = now;
    send(parts_.store.outbound(connection->outbound));
  }
}

Expected<void> SaManager::add_peer(const std::string& of, config::Connection wanted, Moment now) {
  if (configuring()) return Error{"a reload is under way", "try again when it has ended"};
  if (connections_.contains(wanted.name))
    return Error{fmt::format("there is a connection {} already", wanted.name), ""};
  const auto connection = new_connection();
  take_settings(*connection, wanted);
  connections_.emplace(wanted.name, connection);
  PolicyBook::Wanted policy;
  policy.key.owner = wanted.name;
  policy.key.priority = wanted.priority;
  policy.line = wanted.line;
  for (const auto& selector : config::policies_of(wanted)) {
    policy.key.selector = selector;
    const auto added = add_policy(policy, {});
    if (added) continue;
    remove_peer(wanted.name, now);
    return added.error();
  }
  peers_.try_emplace(wanted.remote, connection);
  auto& peer = peers_of_many_[connection->name];
  peer = {of, std::move(wanted), ++arrivals_};
  if (connection->nat_keepalive_s != 0) keepalive_senders_.push_back(connection);
  if (connection->dummy_rate != 0) dummy_senders_.push_back(connection);
  return {};
}

void SaManager::remove_peer(const std::string& name, Moment now) {
  const auto found = connections_.find(name);
  if (found == connections_.end()) return;
  assert(!configuring());
  const auto connection = found->second;
  connection->configured = false;
  connection->inbound = no_sa;
  drop_outbound(*connection, Reason::deleted, now);
  for (const auto* policy : std::exchange(connection->policies, {})) book_.remove(*policy);
  const auto forget_at = [&](const net::Address& address) {
    const auto known = peers_.find(address);
    if (known != peers_.end() && known->second == connection) peers_.erase(known);
  };
  if (const auto peer = peers_of_many_.find(name); peer != peers_of_many_.end()) {
    forget_at(peer->second.settings.remote);
    peers_of_many_.erase(peer);
  }
  if (connection->moved_to) forget_at(*connection->moved_to);
  if (connection->nat_keepalive_s != 0) std::erase(keepalive_senders_, connection);
  if (connection->dummy_rate != 0) std::erase(dummy_senders_, connection);
  std::erase_if(deferred_, [&](const config::Connection& wanted) { return wanted.name == name; });
  if (!connection->has_no_sas()) former_.emplace(++last_former_, connection);
  connections_.erase(found);
}

Expected<void> SaManager::hand_over(std::uint32_t spi, const std::string& name) {
  const auto owner = connection(name);
  if (!owner) return owner.error();
  auto* record = inbound_.find(spi);
  if (record == nullptr || record->phase != Phase::larval)
    return Error{fmt::format("SPI 0x{:x} is not reserved", spi), "reserve it first"};
  inbound_.hand_over(*record, *owner);
  return {};
}

// Those whose connection stays in the configuration, with what of it is no matter of negotiation.
void SaManager::keep_peers(const config::Configuration& configuration) {
  std::unordered_map<std::string_view, const config::Connection*> by_name;
  for (const auto& connection : configuration.connections)
    if (connection.any_peer) by_name.emplace(connection.name, &connection);
  std::erase_if(peers_of_many_, [&](const auto& entry) {
    pause_();
    return !by_name.contains(entry.second.of);
  });
  for (auto& [name, peer] : peers_of_many_) {
    pause_();
    const auto& of = *by_name.at(peer.of);
    peer.settings.priority = of.priority;
    peer.settings.nat_keepalive_s = of.nat_keepalive_s;
    peer.settings.dummy_rate = of.dummy_rate;
    peer.settings.line = of.line;
  }
}

}  // namespace espgate::sa
