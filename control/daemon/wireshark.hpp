// Rows of Wireshark's tables of ESP SAs and of IKE SAs (the files esp_sa and ikev2_decryption_table in its
// configuration folder), keys included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/config/configuration.hpp"
#include "control/ike/keys.hpp"

namespace espgate::daemon {

// One of a connection's SAs, as a capture shows it: from the peer (inbound) or to it. Nothing if
// Wireshark 4.0 has no word for the suite. A peer that may move is any address.
std::optional<std::string> wireshark_row(const config::Connection& connection, const config::ManualSa& sa,
                                         bool inbound);

// Nothing if Wireshark 4.0 has no word for the suite.
std::optional<std::string> wireshark_row(const ike::Spis& spis, const crypto::Suite& suite,
                                         const ike::SaKeys& keys);

}  // namespace espgate::daemon
