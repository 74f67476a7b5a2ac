// Putting the differences between a running configuration and a newly read one into force.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/tunnels.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/base/expected.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/kernel_view.hpp"

namespace espgate::daemon {

// What a reload acts on. All outlive it.
struct Reloadable {
  config::Configuration& current;  // becomes what is in force
  sa::SaManager& sas;
  host::KernelCommands& kernel;
  const host::KernelView& view;  // up to date
  Tunnels* tunnels = nullptr;    // nullptr: none come or go
  IkeService* ike = nullptr;     // nullptr: no connection negotiates
};

struct Reloaded {
  nlohmann::json changes;             // as the command `reload` answers
  std::vector<std::string> problems;  // what could not be done; everything else was
};

// Connections, policies, tunnels and routes follow `wanted`; what can only change at a start is listed. A
// step that fails keeps no other from being done. A route that the kernel already has by the same gateway, or
// no longer has, is as wanted; one that somebody else added stays when it leaves the file. Afterwards
// `wanted` holds what was in force before, for the caller to free. `pause` as SaManager::configure asks its
// `stop`.
Reloaded put_in_force(config::Configuration& wanted, Reloadable parts, Moment now,
                      const std::function<void()>& pause = {});

// For the client: the changes, or all problems in one error.
Expected<nlohmann::json> answer(Reloaded reloaded);

}  // namespace espgate::daemon
