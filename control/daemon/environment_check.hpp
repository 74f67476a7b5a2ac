// What a configuration asks of the machine and can be told before anything is touched: CPUs, devices,
// interfaces, the socket's folder, huge pages. `espgated --check` and a start run the same checks.
#pragma once

#include <vector>

#include "control/config/configuration.hpp"
#include "control/config/problem.hpp"

namespace espgate::daemon {

// Errors, all of them; empty: as far as the machine tells without being touched, it can start here and now.
// Only a start finds out whether a device takes the values of its arguments, its queues and its MTU.
std::vector<config::Problem> check_environment(const config::Configuration& configuration);

}  // namespace espgate::daemon
