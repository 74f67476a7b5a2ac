// show tunnels.
#include <fmt/format.h>

#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

using Traffic = std::unordered_map<std::string_view, sa::ConnectionReport>;

json traffic_json(const sa::Totals& totals) {
  return {{"packets", totals.packets}, {"bytes", totals.bytes}};
}

json tunnel_json(const Tunnels::Report& report, const Traffic& traffic) {
  const auto& tunnel = report.tunnel;
  auto addresses = json::array();
  for (const auto& address : tunnel.addresses)
    addresses.push_back(fmt::format("{}/{}", net::to_string(address.address), address.prefix_length));
  sa::Totals inbound, outbound;
  if (const auto found = traffic.find(tunnel.connection); found != traffic.end()) {
    inbound += found->second.inbound;
    outbound += found->second.outbound;
  }
  return {{"name", tunnel.name},
          {"kind", tunnel.kind == config::TunnelKind::gre ? "gre" : "vti"},
          {"key", tunnel.gre.key ? json(*tunnel.gre.key) : json(nullptr)},
          {"checksum", tunnel.gre.checksum},
          {"peers", json::array({{{"connection", tunnel.connection}}})},
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
    Traffic traffic;
    for (auto& connection : services.sas->connections()) traffic.emplace(connection.name, connection);
    auto tunnels = json::array();
    for (const auto& report : services.tunnels->report(*services.sas, *services.kernel))
      tunnels.push_back(tunnel_json(report, traffic));
    return json{{"tunnels", tunnels}};
  });
}

}  // namespace espgate::daemon
