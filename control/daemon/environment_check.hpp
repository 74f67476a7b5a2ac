// What a configuration asks of the machine and can be told before anything is touched: CPUs, devices,
// interfaces, huge pages. `espgated --check` and a start run the same checks.
#pragma once

#include <vector>

#include "control/config/configuration.hpp"
#include "control/config/problem.hpp"

namespace espgate::daemon {

// Errors, all of them; empty: it can start here and now.
std::vector<config::Problem> check_environment(const config::Configuration& configuration);

}  // namespace espgate::daemon
