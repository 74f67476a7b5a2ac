// Reading the configuration again and putting its differences into force.
#pragma once

#include <nlohmann/json.hpp>

#include "control/config/configuration.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/base/expected.hpp"
#include "drivers/host/kernel_commands.hpp"

namespace espgate::daemon {

// Reads current.file. With an error in it nothing changes. Connections, policies and routes follow the
// file; what can only change at a start is listed. `current` becomes what is in force.
Expected<nlohmann::json> reload(config::Configuration& current, sa::SaManager& sas,
                                host::KernelCommands& kernel);

}  // namespace espgate::daemon
