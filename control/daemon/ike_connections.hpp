// From the configuration's connections to the protocol core's. Pure functions.
#pragma once

#include <span>

#include "control/config/configuration.hpp"
#include "control/ike/connection.hpp"

namespace espgate::daemon {

// One that negotiates, and behind it those that share its IKE SA (`child-of`); each is a child of its own
// name.
ike::ConnectionHandle ike_connection(std::span<const config::Connection* const> family);

// Whether the SAs that were negotiated by the one are what the other would negotiate; both negotiate.
bool negotiates_alike(const config::Connection& before, const config::Connection& now);

// Whether an IKE SA of the one would be one of the other, whatever its children are; both negotiate.
bool shares_ike_sa(const config::Connection& before, const config::Connection& now);

}  // namespace espgate::daemon
