// What a configuration asks of the machine and can be told before anything is touched: CPUs, devices,
// interfaces, huge pages. `espgated --check` and a start run the same checks.
#pragma once

#include <vector>

#include "control/config/configuration.hpp"
#include "control/config/problem.hpp"

namespace espgate::daemon {

struct EnvironmentProblems {
  std::vector<config::Problem> errors;
  std::vector<config::Problem> warnings;  // such as huge pages that a running espgated may hold
};

EnvironmentProblems check_environment(const config::Configuration& configuration);

}  // namespace espgate::daemon
