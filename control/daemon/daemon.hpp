// espgated, from a checked configuration to a clean stop.
#pragma once

#include "control/config/configuration.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::daemon {

// Runs until SIGINT or SIGTERM. SIGHUP reloads the configuration. Errors are those of the start; what goes
// wrong later is logged and survived. Call once, from the process's first thread.
Expected<void> run(config::Configuration configuration);

}  // namespace espgate::daemon
