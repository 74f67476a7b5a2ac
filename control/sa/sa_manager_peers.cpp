// SaManager: where the peers behind NATs are, and keeping the mappings to them.
#include <fmt/format.h>

#include <algorithm>

#include "control/sa/sa_manager.hpp"
#include "datapath/sa/peer_address.hpp"

namespace espgate::sa {
namespace {

constexpr std::size_t keepalives_a_call = 256;  // looked at; each is somewhere else in memory

}  // namespace

void SaManager::peer_moved(std::uint32_t spi, const net::Address& peer, std::uint16_t port, Moment) {
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
  parts_.store.move_peer(record->index, connection.outbound, peer, port);
  if (parts_.outbound_path && connection.outbound != no_sa) parts_.outbound_path(connection.outbound);
  if (connection.moved_to) {
    const auto known = peers_.find(*connection.moved_to);
    if (known != peers_.end() && known->second == record->connection) peers_.erase(known);
    connection.moved_to.reset();
  }
  if (peers_.try_emplace(peer, record->connection).second) connection.moved_to = peer;
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

}  // namespace espgate::sa
