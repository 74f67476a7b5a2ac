// Keeps the datapath's routes equal to the kernel's view, and the kernel's neighbours fresh.
//
//   kernel event ──► mark the prefixes it may concern ──► settle: for each, choose the route from the
//                                                          view, compare with what is installed, change
//
// Nothing is derived from the event itself, only from the view as it is when the prefix has its turn;
// so events may repeat, come late or come in any order, and work is bounded by a budget for each turn.
//
// Neighbours: the datapath's packets do not pass the kernel, so the kernel would take every neighbour
// for idle. HostSync has it confirm the stale ones and look for gateways that are not resolved; a host
// that is gone fails in the kernel and loses its route here.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/host/hop_pool.hpp"
#include "control/host/neighbour_requests.hpp"
#include "control/host/route_choice.hpp"
#include "control/host/route_sink.hpp"
#include "datapath/base/log_limiter.hpp"

namespace espgate::host {

// Control thread only.
class HostSync {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::vector<PortTwin> ports;
    std::size_t hops = 0;                  // that the datapath has room for; more is no mistake
    NeighbourRequests::Ask ask_neighbour;  // KernelCommands::resolve_neighbour
    std::function<void(std::string)> log;  // at most one line a minute for each kind of trouble
  };

  // Both references must outlive it. Installs the fixed routes at the first settle.
  HostSync(RouteSink& sink, const KernelView& view, Options options);
  ~HostSync();
  HostSync(const HostSync&) = delete;
  HostSync& operator=(const HostSync&) = delete;

  static constexpr std::size_t prefixes_per_turn = 128;

  // The links of all tunnels there are. Once `settle` says yes, no route leads into one that is not there.
  void set_tunnels(std::vector<TunnelLink> tunnels);

  // Call it for each event of the mirror. Only takes note.
  void on_event(const Event& event);
  // Works on at most `budget` prefixes. True when the datapath holds what the view says.
  bool settle(Clock::time_point now, std::size_t budget = prefixes_per_turn);
  // Call about ten times a second.
  void tick(Clock::time_point now);

  // A worker had a packet for a hop that is unresolved or a connected network. `destination` is the
  // packet's. Hops that are gone or of another kind are passed over.
  void neighbour_wanted(forward::HopIndex hop, const net::Address& destination, Clock::time_point now);

  // For `show routes`, by family and prefix.
  struct RouteEntry {
    net::Prefix destination;
    RouteOrigin origin;
    forward::HopKind kind;
    std::optional<net::Address> via;
    std::string port;        // or tunnel; empty where there is none
    std::optional<Mac> mac;  // resolved
    std::uint16_t mtu;       // 0 where there is none
  };
  std::vector<RouteEntry> routes() const;

  struct Statistics {
    std::size_t routes = 0;  // installed
    std::size_t hops = 0;
    std::size_t pending = 0;  // prefixes yet to be looked at
    std::size_t refused = 0;  // prefixes the datapath has no room for
    std::uint64_t neighbours_asked = 0;
    std::uint64_t neighbours_suppressed = 0;
  };
  Statistics statistics() const;

 private:
  enum class Trouble : std::uint8_t { routes, hops, view_routes, view_neighbours, neighbour, count };
  using Prefixes = std::set<net::Prefix, PrefixOrder>;
  struct Dependents {
    std::uint8_t port;
    net::Address gateway;
    auto operator<=>(const Dependents&) const = default;
  };

  void mark_routes_changed(const net::Prefix& prefix);
  void mark_neighbour_changed(const NeighbourKey& key);
  void mark_link_changed(int ifindex);
  void mark_inside(const net::Prefix& prefix);
  void apply(const net::Prefix& prefix, Clock::time_point now);
  void install(const net::Prefix& prefix, Choice choice, Clock::time_point now);
  void uninstall(const net::Prefix& prefix);
  void take_out(const net::Prefix& prefix, const HopPlan& plan);
  void ask(const NeighbourKey& neighbour, Clock::duration interval, Clock::time_point now);
  void refresh_neighbours(Clock::time_point now);
  void report_limits(Clock::time_point now);
  void say(Trouble trouble, const std::string& text, Clock::time_point now);
  const PortTwin* port_with_index(std::uint8_t index) const;

  RouteSink& sink_;
  const KernelView& view_;
  std::vector<PortTwin> ports_;
  std::vector<TunnelLink> tunnels_;
  Prefixes next_hops_;  // of all tunnels' peers
  RouteChooser chooser_;
  HopPool hops_;
  NeighbourRequests requests_;
  std::function<void(std::string)> log_;
  LogLimiter<Trouble, static_cast<std::size_t>(Trouble::count)> trouble_;
  std::map<net::Prefix, Choice, PrefixOrder> installed_;
  std::map<Dependents, Prefixes> dependents_;  // routes by the gateway they go through
  Prefixes marked_;
  Prefixes refused_;
  Clock::time_point next_refresh_{};
};

}  // namespace espgate::host
