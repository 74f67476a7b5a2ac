// IkeService: what the datapath's counters tell, and what the kernel has of our addresses.
#include <algorithm>

#include "control/config/ike_settings.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/own_addresses.hpp"
#include "control/daemon/time_slice.hpp"

namespace espgate::daemon {
namespace {

// With ticks of ten milliseconds, 20,000 silent SAs are looked at within 1.6 s. As many that all carry
// traffic, of which the core hears each time, take some seconds.
constexpr std::size_t sas_a_tick = 256;
constexpr std::size_t demands_a_tick = 256;

}  // namespace

// A good packet on an SA is a sign of life, and the first one may be what the peer's switch to it is known
// by: those that had none yet have half of the time.
void IkeService::look_at_traffic(Moment now) {
  const TimeSlice slice;
  auto unheard = std::min(unheard_.size(), sas_a_tick / 2);
  auto heard = std::min(heard_.size(), sas_a_tick - unheard);
  while (unheard + heard != 0 && !slice.is_over()) {
    if (unheard != 0) look_at_next(unheard_, now), --unheard;
    if (heard != 0) look_at_next(heard_, now), --heard;
  }
}

// `spis` is not empty.
void IkeService::look_at_next(std::deque<std::uint32_t>& spis, Moment now) {
  const auto spi = spis.front();
  spis.pop_front();
  const auto found = inbound_.find(spi);
  if (found == inbound_.end()) return;
  const auto packets = parts_.store.inbound_total(found->second.index).packets;
  (packets == 0 ? unheard_ : heard_).push_back(spi);
  if (std::exchange(found->second.packets, packets) != packets) feed(ike::TrafficArrived{spi}, now);
}

// Packets that met a policy of a connection without SA: somebody wants it.
void IkeService::look_at_demand(Moment now) {
  const TimeSlice slice;
  for (std::size_t left = std::min(on_demand_.size(), demands_a_tick); left > 0; --left) {
    const auto name = on_demand_[next_demand_++ % on_demand_.size()];
    auto& known = connections_.at(name);
    const auto demand = demand_of(known.settings);
    if (std::exchange(known.demand, demand) == demand) continue;
    if (parts_.sas.current_sas(name).outbound) continue;
    feed(ike::TrafficWaits{known.handle->name, name}, now);
    if (slice.is_over()) return;
  }
}

// They come and go, and the routes to the peers with them.
unsigned IkeService::follow_addresses(Moment now) {
  if (must_wait()) return 0;
  const auto* movable = movable_.next();
  if (movable == nullptr) return 0;
  look_where_we_are(*movable, now);
  return 1;
}

void IkeService::look_where_we_are(const MovableConnections::Connection& connection, Moment now) {
  if (parts_.kernel == nullptr) return;
  auto& before = connections_.at(connection.name).usable;
  auto usable = usable_addresses(*parts_.kernel, connection.ours, connection.peer);
  if (before == usable) return;
  before = usable;
  feed(ike::LocalAddresses{connection.name, std::move(usable)}, now);
}

// Of policies all that they took, since without an SA that is dropped; of a tunnel what it dropped.
std::uint64_t IkeService::demand_of(const config::Connection& connection) const {
  if (connection.by_route) {
    const auto index = parts_.sas.tunnel_of(connection.name);
    return index == tunnel::no_tunnel ? 0 : parts_.tunnels.at(index).drops.load(std::memory_order_relaxed);
  }
  std::uint64_t packets = 0;
  for (const auto* policy : parts_.sas.policies_of(connection.name))
    if (policy->rule) packets += parts_.policies.hits(*policy->rule);
  return packets;
}

}  // namespace espgate::daemon
