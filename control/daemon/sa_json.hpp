// SAs and what passed through them, as the commands' results have them.
#pragma once

#include <nlohmann/json.hpp>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

// As `show sa` documents it.
nlohmann::json sa_json(const Services& services, const sa::SaReport& report);
// Adds packets, bytes, the last packet's time and drops by reason, as each result that counts has them.
void add_totals(nlohmann::json& result, const Services& services, const sa::Totals& totals);

}  // namespace espgate::daemon
