#include "control/host/host_sync.hpp"

#include <algorithm>
#include <unordered_map>

namespace espgate::host {
namespace {

using namespace std::chrono_literals;
using forward::HopKind;

// Each removal waits for the workers to pass a quiescent point.
constexpr std::size_t hops_reaped_per_turn = 4;
// A stale or missing neighbour is asked for this often; the kernel's own rounds take some eight seconds.
constexpr auto refresh_interval = 10s;
constexpr std::size_t refreshed_per_second = 320;

template <typename Map, typename Visit>
void for_each_inside(const Map& map, const net::Prefix& prefix, const Visit& visit) {
  for (auto at = map.lower_bound(prefix); at != map.end() && prefix.contains(at->first.address); ++at)
    visit(at->first);
}

// A tunnel's far end has no MAC address.
bool asks_for_neighbour(const HopPlan& plan) {
  return plan.gateway && plan.kind != HopKind::tunnel;
}

}  // namespace

HostSync::HostSync(RouteSink& sink, const KernelView& view, Options options)
    : sink_(sink),
      view_(view),
      ports_(std::move(options.ports)),
      chooser_(view_, ports_, tunnels_),
      hops_(sink_, ports_, options.hops),
      requests_(std::move(options.ask_neighbour)),
      log_(std::move(options.log)) {
  for (const auto& fixed : fixed_routes()) marked_.insert(fixed.destination);
  for (const auto& [prefix, routes] : view_.routes.all()) mark_routes_changed(prefix);
}

HostSync::~HostSync() {
  while (!installed_.empty()) uninstall(net::Prefix(installed_.begin()->first));
  while (!hops_.reap(hops_reaped_per_turn)) {
  }
}

void HostSync::set_tunnels(std::vector<TunnelLink> tunnels) {
  for (const auto& tunnel : tunnels_) mark_link_changed(tunnel.ifindex);
  tunnels_ = std::move(tunnels);
  next_hops_.clear();
  for (const auto& tunnel : tunnels_) {
    for (const auto& [next_hop, peer] : tunnel.next_hops) next_hops_.insert(host_prefix(next_hop));
    mark_link_changed(tunnel.ifindex);
  }
}

void HostSync::on_event(const Event& event) {
  if (const auto* routes = std::get_if<RoutesChanged>(&event))
    return mark_routes_changed(routes->destination);
  if (const auto* changed = std::get_if<NeighbourChanged>(&event))
    return mark_neighbour_changed(changed->neighbour);
  if (const auto* link = std::get_if<LinkChanged>(&event)) return mark_link_changed(link->ifindex);
  // Addresses come as routes of the local table.
}

// The route itself, the neighbours and peers it may put on the link, and what a local route may cover.
void HostSync::mark_routes_changed(const net::Prefix& prefix) {
  marked_.insert(prefix);
  if (prefix.length == prefix.address.bits()) return;
  const NeighbourKey first{prefix.address, 0};
  for (auto at = view_.neighbours.lower_bound(first);
       at != view_.neighbours.end() && prefix.contains(at->first.address); ++at)
    marked_.insert(host_prefix(at->first.address));
  for (auto at = next_hops_.lower_bound(prefix); at != next_hops_.end() && prefix.contains(at->address); ++at)
    marked_.insert(*at);

  const auto installed = installed_.find(prefix);
  const bool was_local = installed != installed_.end() && installed->second.origin == RouteOrigin::local;
  const auto routes = view_.routes.at(prefix);
  const bool is_local = std::any_of(routes.begin(), routes.end(),
                                    [](const Route& route) { return route.table == RouteTable::local; });
  if (was_local || is_local) mark_inside(prefix);
}

void HostSync::mark_inside(const net::Prefix& prefix) {
  const auto mark = [&](const net::Prefix& inside) { marked_.insert(inside); };
  for_each_inside(view_.routes.all(), prefix, mark);
  for_each_inside(installed_, prefix, mark);
}

void HostSync::mark_neighbour_changed(const NeighbourKey& key) {
  marked_.insert(host_prefix(key.address));
  const PortTwin* port = chooser_.port_of(key.ifindex);
  if (port == nullptr) return;
  const auto through = dependents_.find({port->index, key.address});
  if (through != dependents_.end()) marked_.insert(through->second.begin(), through->second.end());
}

void HostSync::mark_link_changed(int ifindex) {
  for (const auto& [prefix, routes] : view_.routes.all()) {
    const bool uses = std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
      return std::any_of(route.next_hops.begin(), route.next_hops.end(),
                         [&](const NextHop& next) { return next.ifindex == ifindex; });
    });
    if (uses) marked_.insert(prefix);
  }
  for (const auto& [key, neighbour] : view_.neighbours)
    if (key.ifindex == ifindex) marked_.insert(host_prefix(key.address));
  if (const auto* tunnel = chooser_.tunnel_of(ifindex))
    for (const auto& [next_hop, peer] : tunnel->next_hops) marked_.insert(host_prefix(next_hop));
}

bool HostSync::settle(Clock::time_point now, std::size_t budget) {
  for (; budget > 0 && !marked_.empty(); --budget) {
    const net::Prefix prefix = *marked_.begin();
    marked_.erase(marked_.begin());
    apply(prefix, now);
  }
  const bool reaped = hops_.reap(hops_reaped_per_turn);
  return marked_.empty() && reaped;
}

void HostSync::apply(const net::Prefix& prefix, Clock::time_point now) {
  const auto choice = chooser_.choose(prefix);
  const auto current = installed_.find(prefix);
  refused_.erase(prefix);
  if (!choice) {
    if (current != installed_.end()) uninstall(prefix);
  } else if (current == installed_.end() || !(current->second.hop == choice->hop)) {
    install(prefix, *choice, now);
  } else {
    current->second.origin = choice->origin;
  }
}

void HostSync::install(const net::Prefix& prefix, Choice choice, Clock::time_point now) {
  auto hop = hops_.acquire(choice.hop);
  if (!hop) {
    // Dropping is better than the way of a shorter prefix, or of the route that was here before.
    say(Trouble::hops, "no hop for " + net::to_string(prefix) + ": " + hop.error().text(), now);
    refused_.insert(prefix);
    choice.hop = HopPlan{};
    hop = forward::no_route_hop;
  }
  const auto done = sink_.set_route(prefix, *hop);
  if (!done) {
    say(Trouble::routes, "no route to " + net::to_string(prefix) + ": " + done.error().text(), now);
    refused_.insert(prefix);
    hops_.release(choice.hop);
    if (installed_.contains(prefix)) uninstall(prefix);
    return;
  }
  const auto current = installed_.find(prefix);
  if (current != installed_.end()) take_out(prefix, current->second.hop);
  installed_.insert_or_assign(prefix, choice);
  if (!asks_for_neighbour(choice.hop)) return;
  dependents_[{choice.hop.port, *choice.hop.gateway}].insert(prefix);
  const PortTwin* port = port_with_index(choice.hop.port);
  if (choice.hop.kind == HopKind::unresolved && port != nullptr)
    ask({*choice.hop.gateway, port->ifindex}, NeighbourRequests::per_neighbour_interval, now);
}

void HostSync::uninstall(const net::Prefix& prefix) {
  // The datapath can only refuse to remove what it does not have.
  [[maybe_unused]] const auto done = sink_.remove_route(prefix);
  const auto current = installed_.find(prefix);
  take_out(prefix, current->second.hop);
  installed_.erase(current);
}

// The prefix no longer uses this hop.
void HostSync::take_out(const net::Prefix& prefix, const HopPlan& plan) {
  hops_.release(plan);
  if (!asks_for_neighbour(plan)) return;
  const auto through = dependents_.find({plan.port, *plan.gateway});
  if (through == dependents_.end()) return;
  through->second.erase(prefix);
  if (through->second.empty()) dependents_.erase(through);
}

void HostSync::tick(Clock::time_point now) {
  if (now < next_refresh_) return;
  next_refresh_ = now + 1s;
  marked_.insert(refused_.begin(), refused_.end());
  requests_.forget_before(now - refresh_interval);
  refresh_neighbours(now);
  report_limits(now);
}

void HostSync::refresh_neighbours(Clock::time_point now) {
  const auto before = requests_.asked();
  const auto within_budget = [&] { return requests_.asked() - before < refreshed_per_second; };
  for (const auto& [gateway, prefixes] : dependents_) {
    if (!within_budget()) return;
    const PortTwin* port = port_with_index(gateway.port);
    if (port != nullptr && view_.neighbour({gateway.gateway, port->ifindex}) == nullptr)
      ask({gateway.gateway, port->ifindex}, refresh_interval, now);
  }
  for (const auto& [key, neighbour] : view_.neighbours) {
    if (!within_budget()) return;
    if (neighbour.stale && !neighbour.permanent) ask(key, refresh_interval, now);
  }
}

void HostSync::report_limits(Clock::time_point now) {
  if (view_.routes.overflowed())
    say(Trouble::view_routes,
        "the kernel has more than " + std::to_string(view_.routes.size()) +
            " routes: some are left out; raise limits.routes in the configuration",
        now);
  if (view_.neighbours_left_out)
    say(Trouble::view_neighbours,
        "the kernel has more than " + std::to_string(view_.neighbours.size()) +
            " neighbours: some are left out; raise limits.neighbours in the configuration",
        now);
}

void HostSync::say(Trouble trouble, const std::string& text, Clock::time_point now) {
  const auto line = trouble_.say(trouble, text, now.time_since_epoch());
  if (line && log_) log_(*line);
}

void HostSync::neighbour_wanted(forward::HopIndex hop, const net::Address& destination,
                                Clock::time_point now) {
  const HopPlan* plan = hops_.plan_of(hop);
  if (plan == nullptr) return;
  const PortTwin* port = port_with_index(plan->port);
  if (port == nullptr) return;
  constexpr auto interval = NeighbourRequests::per_neighbour_interval;
  if (plan->kind == HopKind::unresolved) {
    ask({*plan->gateway, port->ifindex}, interval, now);
  } else if (plan->kind == HopKind::glean && chooser_.on_link_port(destination) == port) {
    ask({destination, port->ifindex}, interval, now);
  }
}

void HostSync::ask(const NeighbourKey& neighbour, Clock::duration interval, Clock::time_point now) {
  // It may have been resolved since, and nobody answers for a permanent one.
  const Neighbour* known = view_.neighbour(neighbour);
  if (known != nullptr && (known->permanent || !known->stale)) return;
  const auto done = requests_.request(neighbour, interval, now);
  if (!done) say(Trouble::neighbour, done.error().text(), now);
}

const PortTwin* HostSync::port_with_index(std::uint8_t index) const {
  const auto port =
      std::find_if(ports_.begin(), ports_.end(), [&](const PortTwin& p) { return p.index == index; });
  return port == ports_.end() ? nullptr : &*port;
}

std::vector<HostSync::RouteEntry> HostSync::routes() const {
  std::unordered_map<std::uint16_t, const TunnelLink*> tunnels;  // by their own numbers and their peers'
  for (const auto& tunnel : tunnels_) {
    tunnels.emplace(tunnel.index, &tunnel);
    for (const auto& [next_hop, peer] : tunnel.next_hops) tunnels.emplace(peer, &tunnel);
  }
  std::vector<RouteEntry> result;
  result.reserve(installed_.size());
  for (const auto& [prefix, choice] : installed_) {
    const HopPlan& hop = choice.hop;
    const bool on_port =
        hop.kind == HopKind::resolved || hop.kind == HopKind::unresolved || hop.kind == HopKind::glean;
    const PortTwin* port = on_port ? port_with_index(hop.port) : nullptr;
    const auto tunnel = hop.kind == HopKind::tunnel ? tunnels.find(hop.tunnel) : tunnels.end();
    const auto by = port != nullptr           ? port->name
                    : tunnel != tunnels.end() ? tunnel->second->name
                                              : std::string();
    result.push_back({prefix, choice.origin, hop.kind, hop.gateway, by,
                      hop.kind == HopKind::resolved ? std::optional(hop.mac) : std::nullopt, hop.mtu});
  }
  return result;
}

HostSync::Statistics HostSync::statistics() const {
  return {installed_.size(), hops_.size(),      marked_.size(),
          refused_.size(),   requests_.asked(), requests_.suppressed()};
}

}  // namespace espgate::host
