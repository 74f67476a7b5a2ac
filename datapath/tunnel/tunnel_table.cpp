#include "datapath/tunnel/tunnel_table.hpp"

#include <algorithm>
#include <cassert>
#include <new>
#include <string>

namespace espgate::tunnel {

Expected<std::unique_ptr<TunnelTable>> TunnelTable::create(std::uint32_t tunnels, std::uint32_t inbound_sas,
                                                           std::pmr::memory_resource& memory,
                                                           forward::ReaderBarrier barrier) {
  try {
    return std::unique_ptr<TunnelTable>(
        new TunnelTable(std::min(tunnels, most_tunnels), inbound_sas, memory, barrier));
  } catch (const std::bad_alloc&) {
    return Error{"not enough memory for " + std::to_string(tunnels) + " tunnels",
                 "provide more huge pages or lower limits.tunnels"};
  }
}

std::size_t TunnelTable::memory_bytes(std::uint32_t tunnels, std::uint32_t inbound_sas) {
  return (std::min(tunnels, most_tunnels) + std::size_t{1}) * sizeof(Tunnel) + inbound_sas * sizeof(Index);
}

TunnelTable::TunnelTable(std::uint32_t tunnels, std::uint32_t inbound_sas, std::pmr::memory_resource& memory,
                         forward::ReaderBarrier barrier)
    : tunnels_(memory, tunnels + std::size_t{1}),
      by_inbound_(memory, std::max(inbound_sas, 1u)),
      pool_(1, tunnels, barrier),
      limit_(tunnels) {}

Expected<Index> TunnelTable::add(const Traits& traits) {
  const auto taken = pool_.take();
  if (!taken)
    return Error{"all " + std::to_string(limit_) + " tunnels are in use",
                 "raise limits.tunnels and restart espgate"};
  const auto index = static_cast<Index>(*taken);
  tunnels_.reset(index);
  set(index, policy::Decision::protect_without_sa());
  change(index, traits);
  size_.fetch_add(1, std::memory_order_relaxed);
  return index;
}

void TunnelTable::change(Index index, const Traits& traits) {
  auto& tunnel = tunnels_[index];
  const auto before = tunnel.current_traits().peer_of;
  const auto word =
      (traits.gre ? detail::is_gre : 0) | (traits.options.key ? detail::has_key : 0) |
      (traits.options.checksum ? detail::has_checksum : 0) | (traits.multipoint ? detail::is_multipoint : 0) |
      std::uint64_t{traits.peer_of} << detail::peer_of_shift | std::uint64_t{traits.options.key.value_or(0)};
  tunnel.traits.store(word, std::memory_order_relaxed);
  if (before == traits.peer_of) return;
  assert(before == no_tunnel);
  auto& first = tunnels_[traits.peer_of].next_peer;
  tunnel.next_peer.store(first.load(std::memory_order_relaxed), std::memory_order_relaxed);
  first.store(index, std::memory_order_release);
}

// The peer itself keeps its place, for workers that are there just now.
void TunnelTable::unchain(Index peer, Index shared) {
  auto* link = &tunnels_[shared].next_peer;
  while (link->load(std::memory_order_relaxed) != peer)
    link = &tunnels_[link->load(std::memory_order_relaxed)].next_peer;
  link->store(tunnels_[peer].next_peer.load(std::memory_order_relaxed), std::memory_order_release);
}

void TunnelTable::remove(Index index) {
  set(index, policy::Decision::protect_without_sa());
  if (const auto shared = tunnels_[index].current_traits().peer_of; shared != no_tunnel)
    unchain(index, shared);
  pool_.retire(index);
  size_.fetch_sub(1, std::memory_order_relaxed);
}

void TunnelTable::set(Index index, policy::Decision decision) {
  tunnels_[index].decision.store(decision.value, std::memory_order_release);
}

void TunnelTable::bind_inbound(std::uint32_t sa, Index tunnel) {
  by_inbound_[sa].store(tunnel, std::memory_order_relaxed);
}

}  // namespace espgate::tunnel
