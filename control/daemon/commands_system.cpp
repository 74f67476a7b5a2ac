// show ports, show workers, show routes, show status, show version, log level, reload.
#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_version.h>
#include <unistd.h>

#include "control/cli/values.hpp"
#include "control/daemon/log.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json offloads_of(const port::Port& port) {
  auto names = json::array();
  if (port.good_checksum_flag) names.push_back("rx-ipv4-checksum");
  if ((port.receive_offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0) names.push_back("rx-vlan-strip");
  if ((port.receive_offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0) names.push_back("rx-vlan-filter");
  if ((port.transmit_offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) != 0) names.push_back("tx-fast-free");
  return names;
}

json port_json(std::size_t index, const Services& services) {
  auto& open = *services.gateway->ports()[index];
  const auto& port = open.port();
  const auto statistics = open.statistics();
  const bool present = port.present.load(std::memory_order_relaxed);
  auto addresses = json::array();
  for (const auto& [place, state] : services.kernel->addresses) {
    const auto& [ifindex, address] = place;
    if (const auto* twin = services.kernel->link(ifindex); twin != nullptr && twin->name == port.name)
      addresses.push_back(fmt::format("{}/{}", net::to_string(address.address), address.prefix_length));
  }
  return {{"name", port.name},
          {"device", port.device},
          {"driver", port.driver},
          {"link", !present         ? "gone"
                   : open.link().up ? "up"
                                    : "down"},
          {"speed_mbps", open.link().speed_mbps != 0 ? json(open.link().speed_mbps) : json(nullptr)},
          {"mac", fmt::format("{:02x}", fmt::join(port.mac, ":"))},
          {"mtu", port.mtu},
          {"vlan", net::customer_of(port.vlans)},
          {"service_vlan", net::service_of(port.vlans)},
          {"ipsec", port.ipsec},
          {"twin", port.name},
          {"twin_gone", services.host_path->twin_gone(index)},
          {"link_changes", open.link_changes()},
          {"addresses", addresses},
          {"rx",
           {{"packets", statistics.rx_packets},
            {"bytes", statistics.rx_bytes},
            {"errors", statistics.rx_errors},
            {"missed", statistics.rx_missed},
            {"no_buffer", statistics.rx_no_buffer}}},
          {"tx",
           {{"packets", statistics.tx_packets},
            {"bytes", statistics.tx_bytes},
            {"errors", statistics.tx_errors}}},
          {"offloads", offloads_of(port)}};
}

// received + from_host + made against what became of the packets. The counters are read while the worker
// runs, so a reading taken inside a burst is repeated; a busy worker is between two bursts often enough.
json balance(const PacketCounters& counters) {
  constexpr unsigned attempts = 1'000;
  json result;
  for (unsigned attempt = 0; attempt < attempts; ++attempt) {
    const auto received = counters.received.value();
    const auto from_host = counters.from_host.value();
    const auto made = counters.made.value();
    std::array<std::uint64_t, 5> sums{};
    for (const auto& row : verdict_rows())
      sums[static_cast<std::size_t>(row.outcome)] += counters.verdicts[index_of(row.verdict)].value();
    const auto sum = [&](Outcome outcome) { return sums[static_cast<std::size_t>(outcome)]; };
    const bool holds = received + from_host + made == sums[0] + sums[1] + sums[2] + sums[3] + sums[4];
    result = {{"received", received},
              {"from_host", from_host},
              {"made", made},
              {"tx", sum(Outcome::tx)},
              {"host", sum(Outcome::host)},
              {"control", sum(Outcome::control)},
              {"consumed", sum(Outcome::consumed)},
              {"drops", sum(Outcome::drop)},
              {"holds", holds}};
    if (holds) break;
  }
  return result;
}

json worker_json(const worker::Worker& worker, unsigned cpu) {
  const auto& load = worker.load();
  const auto busy = load.busy_cycles.value();
  const auto total = busy + load.idle_cycles.value();
  auto cycles = json::array();
  for (std::size_t stage = 0; stage < worker::stage_count; ++stage) {
    const auto& reading = worker.clock().readings()[stage];
    const auto packets = reading.packets.value();
    if (packets == 0) continue;
    const double average = static_cast<double>(reading.cycles.value()) / static_cast<double>(packets);
    cycles.push_back({{"stage", worker::stage_names[stage]}, {"cycles", average}});
  }
  auto histogram = json::array();
  for (std::size_t i = 0; i < load.burst_sizes.size(); ++i) {
    const auto last = std::min<std::uint64_t>((2ull << i) - 1, worker::burst_max);
    histogram.push_back({{"from", 1ull << i}, {"to", last}, {"bursts", load.burst_sizes[i].value()}});
  }
  while (histogram.size() > 7) histogram.erase(histogram.size() - 1);
  return {{"worker", worker.id()},
          {"cpu", cpu},
          {"packets", worker.counters().received.value() + worker.counters().from_host.value()},
          {"busy_cycles", busy},
          {"idle_cycles", total - busy},
          {"idle_share", total == 0 ? 1.0 : 1.0 - static_cast<double>(busy) / static_cast<double>(total)},
          {"cycles_per_packet", cycles},
          {"burst_histogram", histogram},
          {"reassembling", worker.reassembling()},
          {"notices_lost", load.notices_lost.value()},
          {"conservation", balance(worker.counters())}};
}

std::int64_t us(Durations::Duration time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

json durations_json(const Durations& durations) {
  auto histogram = json::array();
  for (std::size_t bin = 0; bin < Durations::bin_count; ++bin)
    if (durations.bins()[bin] != 0)
      histogram.push_back({{"from_us", Durations::bin_from_us(bin)},
                           {"to_us", Durations::bin_from_us(bin + 1)},
                           {"rounds", durations.bins()[bin]}});
  return {{"half_us", durations.quantile_us(0.5)},
          {"p99_us", durations.quantile_us(0.99)},
          {"longest_us", us(durations.longest())},
          {"histogram", std::move(histogram)}};
}

json loop_json(const LoopTimes& times) {
  auto loop = durations_json(times.lasted());
  loop["rounds"] = times.lasted().count();
  loop["work"] = durations_json(times.worked());
  auto tasks = times.tasks();
  std::ranges::sort(tasks, std::greater(), &TaskTimes::total);
  loop["tasks"] = json::array();
  for (const auto& task : tasks)
    loop["tasks"].push_back({{"task", task.name},
                             {"calls", task.calls},
                             {"total_us", us(task.total)},
                             {"longest_us", us(task.longest)},
                             {"long_rounds", task.long_rounds}});
  return loop;
}

json show_workers(const Services& services) {
  auto workers = json::array();
  for (const auto& worker : services.gateway->workers())
    workers.push_back(worker_json(*worker, services.configuration->worker_cpus[worker->id()]));
  return {{"workers", workers},
          {"control",
           {{"cpu", services.configuration->control_cpu},
            {"conservation", balance(services.host_path->counters())},
            {"loop", loop_json(services.loop->times())}}},
          {"tsc_hz", services.gateway->shared().tsc_hz}};
}

std::string_view hop_state(forward::HopKind kind) {
  switch (kind) {
    case forward::HopKind::local:
      return "local";
    case forward::HopKind::resolved:
      return "resolved";
    case forward::HopKind::unresolved:
      return "unresolved";
    case forward::HopKind::glean:
      return "connected";
    case forward::HopKind::tunnel:
      return "tunnel";
    case forward::HopKind::no_route:
    case forward::HopKind::blackhole:
      break;
  }
  return "blackhole";
}

json routes_json(const Services& services) {
  auto routes = json::array();
  for (const auto& route : services.host_sync->routes())
    routes.push_back(
        {{"prefix", net::to_string(route.destination)},
         {"via", route.via ? json(net::to_string(*route.via)) : json(nullptr)},
         {"port", route.port.empty() ? json(nullptr) : json(route.port)},
         {"state", hop_state(route.kind)},
         {"mac", route.mac ? json(fmt::format("{:02x}", fmt::join(*route.mac, ":"))) : json(nullptr)},
         {"source", route.origin == host::RouteOrigin::fixed ? "built-in" : "kernel"}});
  return routes;
}

json sa_use(const Services& services, sa::Direction direction, std::uint32_t limit) {
  const auto use = services.sas->use(direction);
  return {{"active", use.active}, {"larval", use.larval}, {"retired", use.retired}, {"limit", limit}};
}

json show_status(const Services& services) {
  const auto& configuration = *services.configuration;
  const auto& limits = configuration.limits;
  const auto uptime = std::chrono::system_clock::now() - services.started;
  const auto use = [](auto in_use, std::uint32_t limit) {
    return json{{"in_use", in_use}, {"limit", limit}};
  };
  std::size_t up = 0;
  for (const auto& port : services.gateway->ports()) up += port->link().up;
  return {{"version", ESPGATE_VERSION},
          {"pid", getpid()},
          {"started", cli::time_text(services.started)},
          {"uptime_s", std::chrono::duration_cast<std::chrono::seconds>(uptime).count()},
          {"configuration", configuration.file},
          {"socket", configuration.socket},
          {"crypto_engine", services.gateway->engine().name()},
          {"crypto_implementation", services.gateway->engine().implementation()},
          {"hugepages", configuration.hugepages},
          {"workers", services.gateway->workers().size()},
          {"ports", {{"up", up}, {"total", services.gateway->ports().size()}}},
          {"inbound_sas", sa_use(services, sa::Direction::inbound, limits.inbound_sas)},
          {"outbound_sas", sa_use(services, sa::Direction::outbound, limits.outbound_sas)},
          {"ike_sas", use(services.ike->core().ike_sa_count(), limits.ike_sas)},
          {"ike_half_open", use(services.ike->core().half_open(), limits.ike_half_open)},
          {"buffers", use(services.gateway->buffers_in_use(), services.gateway->buffers_total())},
          {"routes", use(services.gateway->forwarding().routes().size(), limits.routes)},
          {"tunnels", use(services.gateway->tunnels().size(), limits.tunnels)},
          {"policies", use(services.gateway->policies().size(), limits.policies)},
          {"neighbours", use(services.host_sync->statistics().hops, limits.neighbours)}};
}

}  // namespace

void add_system_commands(Services& services, cli::Handlers& handlers) {
  handlers.answer(cli::CommandId::show_ports, [&services](const cli::Request&) -> Expected<json> {
    auto ports = json::array();
    for (std::size_t i = 0; i < services.gateway->ports().size(); ++i)
      ports.push_back(port_json(i, services));
    return json{{"ports", ports}};
  });
  handlers.answer(cli::CommandId::show_workers,
                  [&services](const cli::Request&) -> Expected<json> { return show_workers(services); });
  handlers.answer(cli::CommandId::show_routes, [&services](const cli::Request&) -> Expected<json> {
    return json{{"routes", routes_json(services)}};
  });
  handlers.answer(cli::CommandId::show_status,
                  [&services](const cli::Request&) -> Expected<json> { return show_status(services); });
  handlers.answer(cli::CommandId::show_version, [&services](const cli::Request&) -> Expected<json> {
    const auto& engine = services.gateway->engine();
    return json{{"version", ESPGATE_VERSION},
                {"dpdk", std::string(rte_version()).substr(5)},
                {"crypto_engine", engine.name()},
                {"crypto_implementation", engine.implementation()},
                {"crypto_library", engine.library()}};
  });
  handlers.answer(cli::CommandId::log_level, [](const cli::Request& request) -> Expected<json> {
    const auto level = *request.text("level");
    const auto topic = request.text("topic");
    const auto before = set_log_level(topic ? LogTopic::ike : LogTopic::all, level);
    return json{{"level", level}, {"topic", topic ? json(*topic) : json(nullptr)}, {"before", before}};
  });
  handlers.stream(cli::CommandId::reload, [&services](const cli::Request&, const cli::StreamPtr& stream) {
    return services.reloader->start([stream](const Expected<json>& reloaded) {
      reloaded ? stream->finish(*reloaded) : stream->fail(reloaded.error());
    });
  });
}

cli::Handlers make_handlers(Services& services) {
  cli::Handlers handlers;
  add_drop_commands(services, handlers);
  add_sa_commands(services, handlers);
  add_invalid_spi_commands(services, handlers);
  add_connection_commands(services, handlers);
  add_policy_commands(services, handlers);
  add_system_commands(services, handlers);
  add_packet_commands(services, handlers);
  add_ike_commands(services, handlers);
  add_diagnose_command(services, handlers);
  add_tunnel_commands(services, handlers);
  add_export_commands(services, handlers);
  return handlers;
}

}  // namespace espgate::daemon
