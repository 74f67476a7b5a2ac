#include "control/sa/sa_manager_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace espgate::sa {

// Takes the configuration's names, selectors and SPIs into account, without touching an SA yet. What a
// second claimant asks for in vain is a problem; it gets the rest.
SaManager::Plan SaManager::plan(const config::Configuration& configuration, ConfigureResult& result) {
  auto& problems = result.problems;
  Plan plan;
  const auto count = configuration.connections.size() + peers_of_many_.size();
  plan.work.reserve(count);
  plan.connections.reserve(count);
  plan.spis.reserve(count);
  std::vector<PolicyBook::Wanted> wanted_policies;
  std::unordered_map<net::TrafficSelector, const config::Connection*> owners;
  // Of several that have peers at any address one is enough to see to it that nothing leaves in clear.
  std::unordered_map<net::TrafficSelector, const config::Connection*> catchers;
  std::unordered_set<net::TrafficSelector> listed;
  std::vector<std::size_t> first_policies;  // of each item, and the end
  owners.reserve(count);
  listed.reserve(configuration.policies.size());
  first_policies.reserve(count + 1);
  wanted_policies.reserve(count + configuration.policies.size());
  const auto consider = [&](const config::Connection& wanted, bool counts) {
    pause_();
    const auto [namesake, first] = plan.connections.try_emplace(wanted.name, &wanted);
    if (!first) {
      problems.push_back({wanted.name,
                          file_,
                          wanted.line,
                          {fmt::format("the connection of line {} has that name", namesake->second->line),
                           "give each connection a name of its own"}});
      return;
    }
    if (wanted.inbound) plan.spis.try_emplace(wanted.inbound->spi, &wanted);
    auto& connection = connections_[wanted.name];
    const bool added = !connection;
    if (added) connection = new_connection();
    take_settings(*connection, wanted);
    if (const auto tunnel = tunnels_.find(wanted.name); tunnel != tunnels_.end())
      connection->tunnel = tunnel->second;
    plan.work.push_back({connection, &wanted, added, false, counts});
    first_policies.push_back(wanted_policies.size());
    const bool catches_all = wanted.any_peer;
    for (const auto& selector : config::policies_of(wanted)) {
      const auto [owner, free] = (catches_all ? catchers : owners).try_emplace(selector, &wanted);
      if (free)
        wanted_policies.push_back({{wanted.name, wanted.priority, selector, catches_all}, wanted.line, ""});
      else if (owner->second != &wanted && !catches_all)
        problems.push_back({wanted.name,
                            file_,
                            wanted.line,
                            {fmt::format("{} belongs to connection {} (line {})", net::to_string(selector),
                                         owner->second->name, owner->second->line),
                             "traffic can be protected by one connection"}});
    }
  };
  for (const auto& wanted : configuration.connections) consider(wanted, true);
  std::vector<const PeerOfMany*> arrived;
  for (const auto& [name, peer] : peers_of_many_) arrived.push_back(&peer);
  std::ranges::sort(arrived, {}, &PeerOfMany::arrival);
  for (const auto* peer : arrived) consider(peer->settings, false);
  first_policies.push_back(wanted_policies.size());
  for (const auto& policy : configuration.policies) {
    pause_();
    if (!listed.insert(policy.selector).second) continue;  // the first has decided
    auto& own = wanted_policies.emplace_back();
    own.key.priority = policy.priority;
    own.key.selector = policy.selector;
    own.line = policy.line;
    own.comment = policy.comment;
    const auto decision = policy.action == config::PolicyAction::bypass ? policy::Decision::bypass()
                                                                        : policy::Decision::discard();
    const auto* known = book_.find(false, policy.selector);
    const bool same =
        known != nullptr && known->decision == decision && known->key.priority == policy.priority;
    ++(known == nullptr ? result.policies.added : same ? result.policies.unchanged : result.policies.changed);
    plan.policies.push_back({nullptr, decision});
  }
  const auto listed_before =
      static_cast<std::size_t>(std::ranges::count_if(book_.policies(), [this](const auto& entry) {
        pause_();
        return !entry.second.key.protects();
      }));
  result.policies.removed = listed_before - result.policies.unchanged - result.policies.changed;

  const auto arranged = book_.arrange(wanted_policies, pause_);
  for (std::size_t i = 0; i < plan.work.size(); ++i) {
    pause_();
    auto& item = plan.work[i];
    const std::vector<Policy*> policies(arranged.data() + first_policies[i],
                                        arranged.data() + first_policies[i + 1]);
    item.policies_changed = item.connection->policies != policies;
    item.connection->policies = policies;
  }
  for (std::size_t i = 0; i < plan.policies.size(); ++i)
    plan.policies[i].first = arranged[first_policies.back() + i];
  free_slowly(owners, pause_);
  free_slowly(catchers, pause_);
  free_slowly(listed, pause_);
  free_slowly(wanted_policies, pause_);
  return plan;
}

}  // namespace espgate::sa
