// Rows of Wireshark's table of ESP SAs (the file esp_sa in its configuration folder), keys included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/config/configuration.hpp"

namespace espgate::daemon {

// One of a connection's SAs, as a capture shows it: from the peer (inbound) or to it. Nothing if
// Wireshark 4.0 has no word for the suite. A peer that may move is any address.
std::optional<std::string> wireshark_row(const config::Connection& connection, const config::ManualSa& sa,
                                         bool inbound);

}  // namespace espgate::daemon
