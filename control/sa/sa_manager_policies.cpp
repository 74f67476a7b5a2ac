// SaManager: what connections' policies say, and single policies that come and go between two configurations.
#include <fmt/format.h>

#include "control/sa/sa_manager.hpp"

namespace espgate::sa {
namespace {

// A connection without an outbound SA still demands protection, so that its traffic never leaves in clear.
policy::Decision decision_of(const Connection& connection) {
  return connection.outbound == no_sa ? policy::Decision::protect_without_sa()
                                      : policy::Decision::protect(connection.outbound);
}

}  // namespace

// Each policy of the connection's gets its decision.
Expected<void> SaManager::point_policies(Connection& connection) {
  const auto decision = decision_of(connection);
  Expected<void> result;
  for (auto* policy : connection.policies)
    if (auto done = book_.set(*policy, decision); !done && result) result = done;
  point_tunnel(connection, decision);
  return result;
}

Expected<const Policy*> SaManager::add_policy(const PolicyBook::Wanted& wanted, policy::Decision decision) {
  if (configuring()) return Error{"a reload is under way", "try again when it has ended"};
  const auto& owner_name = wanted.key.owner;
  const auto& selector = wanted.key.selector;
  const bool protects = wanted.key.protects();
  ConnectionHandle owner;
  if (protects) {
    const auto found = connection(owner_name);
    if (!found) return found.error();
    owner = *found;
    if (owner->outbound != no_sa && parts_.store.outbound(owner->outbound).mode == Mode::transport)
      return Error{fmt::format("connection {} is in transport mode, and carries its two ends' packets alone",
                               owner->name),
                   "name a connection in tunnel mode"};
    decision = decision_of(*owner);
  }
  if (const auto* other = book_.find(protects, selector))
    return Error{protects ? fmt::format("{} belongs to connection {} already", net::to_string(selector),
                                        other->key.owner)
                          : fmt::format("{} has a policy already", net::to_string(selector)),
                 "`show policies` lists them; delete that one first"};
  const auto added = book_.add(wanted, decision);
  if (!added) return added.error();
  if (owner) owner->policies.push_back(*added);
  return *added;
}

Expected<void> SaManager::remove_policy(const Policy& policy) {
  if (configuring()) return Error{"a reload is under way", "try again when it has ended"};
  if (policy.key.protects()) std::erase(connections_.at(policy.key.owner)->policies, &policy);
  book_.remove(policy);
  return {};
}

}  // namespace espgate::sa
