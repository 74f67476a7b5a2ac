// show tunnels.
#include <fmt/format.h>

#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json traffic_json(const sa::Totals& totals) {
  return {{"packets", totals.packets}, {"bytes", totals.bytes}};
}

std::string_view kind_name(config::TunnelKind kind) {
  switch (kind) {
    case config::TunnelKind::vti:
      return "vti";
    case config::TunnelKind::gre:
      return "gre";
    case config::TunnelKind::gre_multipoint:
      break;
  }
  return "gre-multipoint";
}

json tunnel_json(const Services& services, const Tunnels::Report& report) {
  const auto& tunnel = report.tunnel;
  auto addresses = json::array();
  for (const auto& address : tunnel.addresses)
    addresses.push_back(fmt::format("{}/{}", net::to_string(address.address), address.prefix_length));
  auto peers = json::array();
  sa::Totals inbound, outbound;
  for (const auto& peer : report.peers) {
    auto next_hops = json::array();
    for (const auto& next_hop : peer.peer.next_hops) next_hops.push_back(net::to_string(next_hop));
    const auto found = services.sas->connection_report(peer.peer.connection);
    const auto rx = found ? found->inbound : sa::Totals();
    const auto tx = found ? found->outbound : sa::Totals();
    peers.push_back({{"connection", peer.peer.connection},
                     {"next_hops", next_hops},
                     {"state", peer.up ? "up" : "down"},
                     {"rx", traffic_json(rx)},
                     {"tx", traffic_json(tx)},
                     {"drops", peer.drops}});
    inbound += rx;
    outbound += tx;
  }
  return {{"name", tunnel.name},
          {"kind", kind_name(tunnel.kind)},
          {"key", tunnel.gre.key ? json(*tunnel.gre.key) : json(nullptr)},
          {"checksum", tunnel.gre.checksum},
          {"peers", peers},
          {"state", report.state},
          {"reason", report.reason.empty() ? json(nullptr) : json(report.reason)},
          {"mtu", tunnel.mtu},
          {"addresses", addresses},
          {"rx", traffic_json(inbound)},
          {"tx", traffic_json(outbound)},
          {"drops", report.drops}};
}

}  // namespace

void add_tunnel_commands(Services& services, cli::Handlers& handlers) {
  handlers.answer(cli::CommandId::show_tunnels, [&services](const cli::Request&) -> Expected<json> {
    auto tunnels = json::array();
    for (const auto& report : services.tunnels->report(*services.sas, *services.kernel))
      tunnels.push_back(tunnel_json(services, report));
    return json{{"tunnels", tunnels}};
  });
}

}  // namespace espgate::daemon
