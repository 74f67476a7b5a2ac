// What is in force of a policy that the classifier had no room for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "datapath/net/traffic_selector.hpp"
#include "datapath/policy/decision.hpp"

namespace espgate::policy {

// From its place in the order on, whatever is between the selector's addresses gets the decision, which lets
// nothing pass: more than the policy was for, so that nothing of that leaves in clear.
struct StandIn {
  net::TrafficSelector selector;
  std::uint64_t order = 0;
  Decision decision;
};

// They are compared one by one.
inline constexpr std::size_t most_stand_ins = 64;

}  // namespace espgate::policy
