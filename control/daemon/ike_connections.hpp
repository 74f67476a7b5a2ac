// From the configuration's connections to the protocol core's. Pure functions.
#pragma once

#include "control/config/configuration.hpp"
#include "control/ike/connection.hpp"

namespace espgate::daemon {

// `connection.ike` is there.
ike::ConnectionHandle ike_connection(const config::Connection& connection);

// Whether the SAs that were negotiated by the one are what the other would negotiate; both negotiate.
bool negotiates_alike(const config::Connection& before, const config::Connection& now);

}  // namespace espgate::daemon
