// SaManager: the tunnels that routes lead into, and the connections behind them. A tunnel names an outbound
// SA as a policy does, and what its connection's inbound SAs decrypt comes out of it.
#include "control/sa/sa_manager.hpp"

namespace espgate::sa {

void SaManager::set_tunnels(std::unordered_map<std::string, tunnel::Index> by_connection) {
  tunnels_ = std::move(by_connection);
  // A tunnel that goes from one connection to another names no SA in between.
  for (const auto& [name, connection] : connections_)
    if (connection->tunnel != tunnel::no_tunnel && connection->tunnel != tunnel_of(name))
      parts_.tunnels->set(connection->tunnel, policy::Decision::protect_without_sa());
  for (const auto& [name, connection] : connections_) {
    const auto wanted = tunnel_of(name);
    if (wanted == connection->tunnel) continue;
    connection->tunnel = wanted;
    // The SA that the tunnel before it named, which may be one that drops.
    const auto index = connection->tunnel_sa != no_sa ? connection->tunnel_sa : connection->outbound;
    point_tunnel(*connection,
                 index == no_sa ? policy::Decision::protect_without_sa() : policy::Decision::protect(index));
    for (const auto phase : {Phase::larval, Phase::active, Phase::lingering})
      for (const auto& record : inbound_.in(phase))
        if (record.connection == connection) parts_.tunnels->bind_inbound(record.index, wanted);
  }
}

void SaManager::point_tunnel(Connection& connection, policy::Decision decision) {
  const bool names = connection.tunnel != tunnel::no_tunnel;
  if (names) parts_.tunnels->set(connection.tunnel, decision);
  const auto index = names && decision.is_protect() ? decision.outbound_sa() : no_sa;
  const auto before = std::exchange(connection.tunnel_sa, index);
  if (before != no_sa && before != index) unlink_unnamed(before);
}

void SaManager::unlink_unnamed(std::uint32_t index) {
  const auto& connection = outbound_.records()[index].connection;
  if (book_.references(index) == 0 && (!connection || connection->tunnel_sa != index))
    outbound_.unlink(index);
}

Expected<InboundRecord*> SaManager::reserve_inbound(std::uint32_t spi, const ConnectionHandle& owner,
                                                    Moment now) {
  earlier_.make_room();
  auto record = inbound_.reserve(spi, owner, now);
  if (record && parts_.tunnels != nullptr) parts_.tunnels->bind_inbound((*record)->index, owner->tunnel);
  return record;
}

tunnel::Index SaManager::tunnel_of(const std::string& name) const {
  const auto found = tunnels_.find(name);
  return found == tunnels_.end() ? tunnel::no_tunnel : found->second;
}

SaManager::CurrentSas SaManager::current_sas(const std::string& name) const {
  const auto found = connections_.find(name);
  if (found == connections_.end()) return {};
  const auto inbound = found->second->inbound;
  const auto outbound = found->second->outbound;
  const auto active = [](const auto& sa) {
    return sa.state.load(std::memory_order_relaxed) == State::active;
  };
  return {inbound != no_sa && active(parts_.store.inbound(inbound)),
          outbound != no_sa && active(parts_.store.outbound(outbound))};
}

}  // namespace espgate::sa
