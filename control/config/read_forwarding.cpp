#include <fmt/format.h>

#include <utility>

#include "control/config/read.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::string_view family_name(net::Family family) {
  return family == net::Family::v4 ? "IPv4" : "IPv6";
}

Route read_route(const GroupReader& group, Checks& checks) {
  Route route;
  const auto& place = group.report().places().of(group.row());
  route.line = place.line;
  route.file = place.file;
  const auto to = prefix_of(group, "to");
  const auto via = address_of(group, "via");
  if (to) {
    route.to = *to;
    const auto row = group.row_of("to");
    if (const auto* first = checks.routes.claim(*to, row, group.path()))
      group.error("to",
                  fmt::format("{} is already routed by {}", net::to_string(*to),
                              described(*first, group.report(), row)),
                  "keep one of the two");
  }
  if (via) route.via = *via;
  if (to && via && to->address.family != via->family)
    group.error("via",
                fmt::format("{} is an {} address and {} an {} prefix", net::to_string(*via),
                            family_name(via->family), net::to_string(*to), family_name(to->address.family)),
                "name a next hop of the same family");
  return route;
}

// One entry for each family that the group is about.
void read_policy(const GroupReader& group, Configuration& configuration, Checks& checks) {
  Policy policy;
  const auto& place = group.report().places().of(group.row());
  policy.line = place.line;
  policy.file = place.file;
  group.choice("action", policy.action);
  group.integer("priority", policy.priority);
  group.text("comment", policy.comment);
  bool first_family = true;
  for (const auto& selector : selectors_of(group, {"from", "to", "from-port", "to-port"})) {
    policy.selector = selector;
    configuration.policies.push_back(policy);
    checks.places_of_policies.push_back({group.row(), group.path()});
    const auto row = group.row_of("to");
    const auto* earlier = checks.policies.claim(selector, row, group.path());
    if (earlier != nullptr && std::exchange(first_family, false))
      group.error("to",
                  fmt::format("{} already has a policy, {}", net::to_string(selector),
                              described(*earlier, group.report(), row)),
                  "keep one of the two");
  }
}

}  // namespace

void read_routes(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.visit("routes",
            [&](const GroupReader& group) { configuration.routes.push_back(read_route(group, checks)); });
}

void read_policies(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.visit("policies", [&](const GroupReader& group) { read_policy(group, configuration, checks); });
}

}  // namespace espgate::config
