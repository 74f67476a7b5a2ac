#include "control/daemon/reload.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/load.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

bool same_port(const config::Port& a, const config::Port& b) {
  return a.name == b.name && a.device == b.device && a.ipsec == b.ipsec && a.mtu == b.mtu &&
         a.vlan == b.vlan && a.addresses == b.addresses;
}

json restart_needed(const config::Configuration& current, const config::Configuration& wanted) {
  auto names = json::array();
  const auto note = [&](bool same, const char* name) {
    if (!same) names.push_back(name);
  };
  note(std::ranges::equal(current.ports, wanted.ports, same_port), "ports");
  note(current.worker_cpus == wanted.worker_cpus, "worker-cpus");
  note(current.control_cpu == wanted.control_cpu, "control-cpu");
  note(current.hugepages == wanted.hugepages, "hugepages");
  note(current.memory_mb == wanted.memory_mb, "memory-mb");
  note(current.idle == wanted.idle, "idle");
  note(current.idle_sleep_us == wanted.idle_sleep_us, "idle-sleep-us");
  note(current.crypto_engine == wanted.crypto_engine, "crypto-engine");
  note(current.socket == wanted.socket, "socket");
  note(current.log_level == wanted.log_level, "log-level");
  note(current.limits == wanted.limits, "limits");
  return names;
}

struct Changes {
  std::size_t added = 0, removed = 0, changed = 0, kept = 0;
  json as(const char* what) const {
    return {{"what", what}, {"added", added}, {"removed", removed}, {"changed", changed}, {"kept", kept}};
  }
};

// `applies(old, new)`: the item is the same one; what is equal altogether is kept.
template <typename Item, typename SameKey, typename SameAll>
Changes compare(const std::vector<Item>& before, const std::vector<Item>& after, SameKey key, SameAll all) {
  Changes changes;
  for (const auto& item : after) {
    const auto old = std::ranges::find_if(before, [&](const Item& other) { return key(item, other); });
    (old == before.end() ? changes.added : all(item, *old) ? changes.kept : changes.changed)++;
  }
  changes.removed = before.size() + changes.added - after.size();
  return changes;
}

bool same_route(const config::Route& a, const config::Route& b) {
  return a.to == b.to && a.via == b.via;
}
bool same_policy(const config::Policy& a, const config::Policy& b) {
  return a.selector == b.selector && a.action == b.action && a.priority == b.priority;
}

Expected<void> apply_routes(const config::Configuration& current, const config::Configuration& wanted,
                            host::KernelCommands& kernel) {
  const auto in = [](const std::vector<config::Route>& routes, const config::Route& route) {
    return std::ranges::any_of(routes, [&](const auto& other) { return same_route(route, other); });
  };
  for (const auto& route : current.routes)
    if (!in(wanted.routes, route))
      if (auto removed = kernel.remove_route({route.to, route.via, 0, 0}); !removed) return removed;
  for (const auto& route : wanted.routes)
    if (!in(current.routes, route))
      if (auto added = kernel.add_route({route.to, route.via, 0, 0}); !added) return added;
  return {};
}

}  // namespace

Expected<json> reload(config::Configuration& current, sa::SaManager& sas, host::KernelCommands& kernel) {
  auto loaded = config::load(current.file);
  if (!loaded.configuration)
    return Error{
        fmt::format("{}{}; nothing was changed", loaded.errors.front().text(),
                    loaded.errors.size() > 1 ? fmt::format(" (the first of {} errors)", loaded.errors.size())
                                             : std::string()),
        "`espgated --check " + current.file + "` shows what is wrong"};
  auto& wanted = *loaded.configuration;
  if (auto routes = apply_routes(current, wanted, kernel); !routes) return routes.error();
  const auto applied = sas.configure(wanted, now());

  Changes connections{applied.added, applied.removed, applied.changed, applied.unchanged};
  const auto routes = compare(current.routes, wanted.routes, same_route, same_route);
  const auto policies = compare(
      current.policies, wanted.policies,
      [](const auto& a, const auto& b) { return a.selector == b.selector; }, same_policy);
  json result{{"configuration", current.file},
              {"changes", {connections.as("connections"), routes.as("routes"), policies.as("policies")}},
              {"restart_needed", restart_needed(current, wanted)}};
  current.routes = std::move(wanted.routes);
  current.policies = std::move(wanted.policies);
  current.connections = std::move(wanted.connections);
  if (!applied.problems.empty())
    return Error{fmt::format("{} ({} problems in all); everything else of the file is in force",
                             applied.problems.front().text(), applied.problems.size()),
                 ""};
  return result;
}

}  // namespace espgate::daemon
