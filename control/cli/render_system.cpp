#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string speed(const json& port) {
  const auto mbps = count_at(port, "speed_mbps");
  if (mbps == 0) return "-";
  return mbps % 1000 == 0 ? fmt::format("{} G", mbps / 1000) : fmt::format("{} M", mbps);
}

std::string balance(const json& place, bool color) {
  const std::string text =
      fmt::format("rx {} + from host {} + made {} = tx {} + host {} + control {} + consumed {} + drops {}",
                  text_at(place, "conservation.received"), text_at(place, "conservation.from_host"),
                  text_at(place, "conservation.made"), text_at(place, "conservation.tx"),
                  text_at(place, "conservation.host"), text_at(place, "conservation.control"),
                  text_at(place, "conservation.consumed"), text_at(place, "conservation.drops"));
  const bool holds = text_at(place, "conservation.holds") == "yes";
  return fmt::format("{}  {}", text, holds ? "(holds)" : alarm("(DOES NOT HOLD)", color));
}

std::string idle_percent(const json& worker) {
  const auto found = worker.find("idle_share");
  if (found == worker.end() || !found->is_number()) return "-";
  return fmt::format("{:.1f} %", 100 * found->get<double>());
}

std::string cycles(const json& worker) {
  std::string text;
  for (const auto& stage : array_at(worker, "cycles_per_packet")) {
    const double value = stage.is_object() && stage.contains("cycles") && stage["cycles"].is_number()
                             ? stage["cycles"].get<double>()
                             : 0;
    text += fmt::format("{}{} {:.1f}", text.empty() ? "" : "  ", text_at(stage, "stage"), value);
  }
  return text.empty() ? "-" : text;
}

std::string bursts(const json& worker) {
  std::string text;
  for (const auto& bin : array_at(worker, "burst_histogram")) {
    const std::string from = text_at(bin, "from");
    const std::string to = text_at(bin, "to");
    text += fmt::format("{}{}: {}", text.empty() ? "" : "  ",
                        from == to ? from : fmt::format("{}-{}", from, to), text_at(bin, "bursts"));
  }
  return text.empty() ? "-" : text;
}

// "100", or with a service tag in front "7.100".
std::string tags_of(const json& port) {
  const auto service = text_at(port, "service_vlan");
  return service == "0" ? text_at(port, "vlan") : fmt::format("{}.{}", service, text_at(port, "vlan"));
}

// How long whatever comes waits for what the control loop is doing.
std::string loop_text(const json& control, bool color) {
  const auto text = fmt::format(
      "half of {} rounds within {} us, 99 % within {} us; longest {} us, most work {} us",
      text_at(control, "loop.rounds"), text_at(control, "loop.half_us"), text_at(control, "loop.p99_us"),
      text_at(control, "loop.longest_us"), text_at(control, "loop.work.longest_us"));
  constexpr std::uint64_t too_long_us = 1'000;
  return count_at(control, "loop.p99_us") > too_long_us ? alarm(text, color) : text;
}

// Those that took most time come first.
std::string tasks_text(const json& control, bool color) {
  constexpr std::size_t most = 5;
  TextTable table({{"Task"},
                   {"Calls", Align::right},
                   {"Total us", Align::right},
                   {"Longest us", Align::right},
                   {"Long rounds", Align::right}});
  const auto& tasks = array_at(control, "loop.tasks");
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (i >= most && count_at(tasks[i], "long_rounds") == 0) continue;
    table.add({text_at(tasks[i], "task"), text_at(tasks[i], "calls"), text_at(tasks[i], "total_us"),
               text_at(tasks[i], "longest_us"), text_at(tasks[i], "long_rounds")});
  }
  return table.text(color);
}

}  // namespace

std::string render_ports(const json& result, bool color) {
  const auto& ports = array_at(result, "ports");
  TextTable state({{"Port"},
                   {"Link"},
                   {"Speed"},
                   {"MAC"},
                   {"MTU", Align::right},
                   {"VLAN", Align::right},
                   {"IPsec"},
                   {"Twin"},
                   {"Driver"},
                   {"Device"}});
  TextTable counters({{"Port"},
                      {"Rx packets", Align::right},
                      {"Rx bytes", Align::right},
                      {"Errors", Align::right},
                      {"Missed", Align::right},
                      {"No buffer", Align::right},
                      {"Tx packets", Align::right},
                      {"Tx bytes", Align::right},
                      {"Errors", Align::right}});
  std::string rest;
  for (const auto& port : ports) {
    const std::string link = text_at(port, "link");
    const bool twin_gone = text_at(port, "twin_gone") == "yes";
    state.add({text_at(port, "name"),
               {link, link == "up" ? Mark::plain : Mark::alarm},
               speed(port),
               text_at(port, "mac"),
               text_at(port, "mtu"),
               tags_of(port),
               text_at(port, "ipsec"),
               twin_gone ? Cell{"gone", Mark::alarm} : Cell{text_at(port, "twin")},
               text_at(port, "driver"),
               text_at(port, "device")});
    counters.add({text_at(port, "name"), text_at(port, "rx.packets"), text_at(port, "rx.bytes"),
                  text_at(port, "rx.errors"), text_at(port, "rx.missed"), text_at(port, "rx.no_buffer"),
                  text_at(port, "tx.packets"), text_at(port, "tx.bytes"), text_at(port, "tx.errors")});
    rest += fmt::format("{}\n", text_at(port, "name"));
    rest += detail_line("addresses", text_at(port, "addresses"));
    rest += detail_line("offloads", text_at(port, "offloads"));
    rest += detail_line("link changes", text_at(port, "link_changes"));
    if (twin_gone)
      rest +=
          alarm(
              "  The twin was removed from the kernel: nothing reaches the host by this port, and it has no\n"
              "  addresses or routes. Restart espgated to have it back.",
              color) +
          "\n";
  }
  if (state.empty()) return "no ports\n";
  return state.text(color) + "\n" + counters.text(color) + "\n" + rest;
}

std::string render_workers(const json& result, bool color) {
  TextTable table(
      {{"Worker", Align::right}, {"CPU", Align::right}, {"Packets", Align::right}, {"Idle", Align::right}});
  std::string rest;
  for (const auto& worker : array_at(result, "workers")) {
    table.add({text_at(worker, "worker"), text_at(worker, "cpu"), text_at(worker, "packets"),
               idle_percent(worker)});
    rest += fmt::format("\nWorker {}\n", text_at(worker, "worker"));
    rest += detail_line("cycles a packet", cycles(worker) + "  (of 1 burst in 16)");
    rest += detail_line("burst sizes", bursts(worker));
    rest += detail_line("balance", balance(worker, color));
  }
  if (result.contains("control") && result["control"].is_object()) {
    rest += fmt::format("\nControl core (CPU {})\n", text_at(result, "control.cpu"));
    rest += detail_line("balance", balance(result["control"], color));
    rest += detail_line("loop", loop_text(result["control"], color));
    rest += fmt::format("\n{}", tasks_text(result["control"], color));
  }
  return table.text(color) + rest;
}

std::string render_routes(const json& result, bool color) {
  TextTable routes({{"Prefix"}, {"Via"}, {"Port"}, {"State"}, {"MAC"}, {"Source"}});
  for (const auto& route : array_at(result, "routes")) {
    const std::string state = text_at(route, "state");
    routes.add({text_at(route, "prefix"),
                text_at(route, "via"),
                text_at(route, "port"),
                {state, state == "unresolved" ? Mark::alarm : Mark::plain},
                text_at(route, "mac"),
                text_at(route, "source")});
  }
  return routes.empty() ? "no routes\n" : routes.text(color);
}

namespace {

std::string uptime(const json& result) {
  const auto s = count_at(result, "uptime_s");
  std::string text = s >= 86'400 ? fmt::format("{} d ", s / 86'400) : "";
  return text + fmt::format("{:02}:{:02}:{:02}", s / 3'600 % 24, s / 60 % 60, s % 60);
}

std::string sa_use(const json& result, const std::string& which) {
  return fmt::format("{} active, {} larval, {} retired of {}", text_at(result, which + ".active"),
                     text_at(result, which + ".larval"), text_at(result, which + ".retired"),
                     text_at(result, which + ".limit"));
}

}  // namespace

std::string render_status(const json& result, bool) {
  std::string text =
      fmt::format("espgated {}, process {}\n", text_at(result, "version"), text_at(result, "pid"));
  text += detail_line("up", fmt::format("{} since {} UTC", uptime(result), time_at(result, "started")));
  text += detail_line("configuration", text_at(result, "configuration"));
  text += detail_line("socket", text_at(result, "socket"));
  text += detail_line("crypto",
                      text_at(result, "crypto_engine") + ", " + text_at(result, "crypto_implementation"));
  text += detail_line("hugepages", text_at(result, "hugepages"));
  text += detail_line("workers", text_at(result, "workers"));
  text += detail_line("ports up", part_of(result, "ports.up", "ports.total"));
  text += detail_line("inbound SAs", sa_use(result, "inbound_sas"));
  text += detail_line("outbound SAs", sa_use(result, "outbound_sas"));
  text += detail_line("IKE SAs", part_of(result, "ike_sas.in_use", "ike_sas.limit"));
  text += detail_line("half open", part_of(result, "ike_half_open.in_use", "ike_half_open.limit"));
  for (const std::string limit : {"buffers", "routes", "policies", "tunnels", "neighbours"}) {
    text += detail_line(limit, part_of(result, limit + ".in_use", limit + ".limit"));
  }
  return text;
}

std::string render_version(const json& result, bool) {
  std::string text = fmt::format("espgated {}\n", text_at(result, "version"));
  text += detail_line("DPDK", text_at(result, "dpdk"));
  text += detail_line("crypto engine", text_at(result, "crypto_engine"));
  text += detail_line("implementation", text_at(result, "crypto_implementation"));
  return text + detail_line("library", text_at(result, "crypto_library"));
}

std::string render_reload(const json& result, bool color) {
  TextTable table({{"What"},
                   {"Added", Align::right},
                   {"Removed", Align::right},
                   {"Changed", Align::right},
                   {"Kept", Align::right}});
  for (const auto& change : array_at(result, "changes")) {
    table.add({text_at(change, "what"), text_at(change, "added"), text_at(change, "removed"),
               text_at(change, "changed"), text_at(change, "kept")});
  }
  std::string text = fmt::format("reloaded {}\n\n", text_at(result, "configuration")) + table.text(color);
  if (!array_at(result, "restart_needed").empty()) {
    const std::string needed = fmt::format("restart needed for: {}", text_at(result, "restart_needed"));
    text += fmt::format("\n{}\n", alarm(needed, color));
  }
  return text;
}

}  // namespace espgate::cli
