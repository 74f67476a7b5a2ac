// `explain CONNECTION`: what each setting means in effect, and how far the negotiation has come.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

// As the command answers. Errors: no such connection.
Expected<nlohmann::json> explain(const Services& services, const std::string& connection);

// The parts of it, one file each: rows {"setting", "value", "meaning"} and {"step", "state", "detail"}.
nlohmann::json explain_settings(const Services& services, const config::Connection& connection);
nlohmann::json explain_steps(const Services& services, const config::Connection& connection);

}  // namespace espgate::daemon
