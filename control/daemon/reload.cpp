#include "control/daemon/reload.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/daemon/difference.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t problems_answered = 10;  // the log has them all

bool same_port(const config::Port& a, const config::Port& b) {
  return a.name == b.name && a.device == b.device && a.ipsec == b.ipsec && a.mtu == b.mtu &&
         a.vlans == b.vlans && a.addresses == b.addresses;
}

json restart_needed(const config::Configuration& current, const config::Configuration& wanted) {
  auto names = json::array();
  const auto note = [&](bool same, const char* name) {
    if (!same) names.push_back(name);
  };
  note(std::ranges::equal(current.ports, wanted.ports, same_port), "ports");
  note(current.worker_cpus == wanted.worker_cpus, "worker-cpus");
  note(current.control_cpu == wanted.control_cpu, "control-cpu");
  note(current.no_huge || current.hugepages == wanted.hugepages, "hugepages");
  note(current.memory_mb == wanted.memory_mb, "memory-mb");
  note(current.idle == wanted.idle, "idle");
  note(current.idle_sleep_us == wanted.idle_sleep_us, "idle-sleep-us");
  note(current.crypto_engine == wanted.crypto_engine, "crypto-engine");
  note(current.socket == wanted.socket, "socket");
  note(current.state_directory == wanted.state_directory, "state-directory");
  note(current.log_level == wanted.log_level, "log-level");
  note(current.path_mtu_discovery == wanted.path_mtu_discovery, "path-mtu-discovery");
  note(current.limits == wanted.limits, "limits");
  return names;
}

bool kernel_has(const host::KernelView& view, const config::Route& route) {
  const auto leads_there = [&](const host::NextHop& next) { return next.gateway == route.via; };
  return std::ranges::any_of(view.routes.at(route.to), [&](const host::Route& known) {
    return known.table == host::RouteTable::main && known.type == host::RouteType::unicast &&
           std::ranges::any_of(known.next_hops, leads_there);
  });
}

// Carries out the differences of routes and keeps the list of those in force.
class RouteSteps {
 public:
  RouteSteps(Reloadable& parts, const config::Configuration& wanted, std::vector<std::string>& problems)
      : parts_(parts), wanted_(wanted), problems_(problems) {}

  void carry_out(const Difference<config::Route>& changes) {
    for (const auto* route : changes.removed) remove(*route);
    for (const auto& [before, after] : changes.changed)
      if (remove(*before)) add(*after);
    for (const auto* route : changes.added) add(*route);
    for (const auto* route : changes.kept) in_force_.push_back(*route);
  }
  std::vector<config::Route> in_force() { return std::move(in_force_); }

 private:
  bool remove(const config::Route& route) {
    const auto removed = parts_.kernel.remove_route({route.to, route.via, 0, 0});
    if (removed) return true;
    problems_.push_back(removed.error().text());
    in_force_.push_back(route);
    return false;
  }
  void add(const config::Route& route) {
    if (!kernel_has(parts_.view, route))
      if (const auto added = parts_.kernel.add_route({route.to, route.via, 0, 0}); !added) {
        const auto& file = wanted_.files.empty() ? wanted_.file : wanted_.files.at(route.file);
        problems_.push_back(fmt::format("{}:{}: {}", file, route.line, added.error().text()));
        return;
      }
    in_force_.push_back(route);
  }

  Reloadable& parts_;
  const config::Configuration& wanted_;
  std::vector<std::string>& problems_;
  std::vector<config::Route> in_force_;
};

std::string destination(const config::Route& route) {
  return net::to_string(route.to);
}
std::string threshold_name(const config::Threshold& threshold) {
  return threshold.name;
}
bool same_threshold(const config::Threshold& a, const config::Threshold& b) {
  return a.per_minute == b.per_minute;
}
bool same_route(const config::Route& a, const config::Route& b) {
  return a.via == b.via;
}

// `applied`: a ConfigureResult, or its count of policies.
json changes(const char* what, const auto& applied) {
  return {{"what", what},
          {"added", applied.added},
          {"removed", applied.removed},
          {"changed", applied.changed},
          {"kept", applied.unchanged}};
}

json kept_changes(const char* what, const auto& change) {
  return {{"what", what},
          {"added", change.added},
          {"removed", change.removed},
          {"changed", change.changed},
          {"kept", change.kept}};
}

// A setting of the file as a whole, which is there or not.
json setting(const char* what, bool was, bool is, bool is_same) {
  return {{"what", what},
          {"added", !was && is ? 1 : 0},
          {"removed", was && !is ? 1 : 0},
          {"changed", was && is && !is_same ? 1 : 0},
          {"kept", was && is && is_same ? 1 : 0}};
}

}  // namespace

Reloaded put_in_force(config::Configuration& wanted, Reloadable parts, Moment now,
                      const std::function<void()>& pause) {
  Reloaded result;
  auto& current = parts.current;
  const auto routes = difference(current.routes, wanted.routes, destination, same_route);
  const auto thresholds = difference(current.thresholds, wanted.thresholds, threshold_name, same_threshold);
  // Before the routes that lead into them, and before connections that come with them.
  Tunnels::Change tunnels;
  if (parts.tunnels != nullptr) tunnels = parts.tunnels->configure(wanted);
  result.problems = tunnels.problems;
  RouteSteps steps(parts, wanted, result.problems);
  steps.carry_out(routes);
  const auto applied = parts.sas.configure(wanted, now, [&pause] {
    if (pause) pause();
    return false;
  });
  IkeService::Change negotiated;
  if (parts.ike != nullptr) negotiated = parts.ike->configure(wanted, now, pause);
  for (const auto& problem : applied.problems) result.problems.push_back(problem.text());

  const auto &hook_before = current.on_invalid_spi, &hook = wanted.on_invalid_spi;
  result.changes = {
      {"configuration", current.file},
      {"changes",
       {changes("connections", applied), routes.json("routes"), changes("policies", applied.policies),
        thresholds.json("thresholds"), kept_changes("tunnels", tunnels), kept_changes("ike", negotiated),
        setting("on-invalid-spi", !hook_before.program.empty(), !hook.program.empty(), hook_before == hook),
        setting("debug-keys-export", current.debug_keys_export, wanted.debug_keys_export, true)}},
      {"restart_needed", restart_needed(current, wanted)}};
  current.routes = steps.in_force();
  current.policies.swap(wanted.policies);
  current.connections.swap(wanted.connections);
  current.tunnels = std::move(wanted.tunnels);
  current.thresholds = std::move(wanted.thresholds);
  current.debug_keys_export = wanted.debug_keys_export;
  current.on_invalid_spi = wanted.on_invalid_spi;
  return result;
}

Expected<json> answer(Reloaded reloaded) {
  const auto& problems = reloaded.problems;
  if (problems.empty()) return std::move(reloaded.changes);
  const auto shown = std::min(problems.size(), problems_answered);
  auto what = fmt::format(
      "{} of the file could not be put in force, everything else is:",
      problems.size() == 1 ? std::string("one thing") : fmt::format("{} things", problems.size()));
  for (std::size_t i = 0; i < shown; ++i) what += "\n       " + problems[i];
  if (shown < problems.size()) what += fmt::format("\n       and {} more", problems.size() - shown);
  return Error{std::move(what), "the daemon's log has them all; reload again when they are mended"};
}

}  // namespace espgate::daemon
