// What is known of a connection, as far as it speaks for one cause of trouble or another.
#pragma once

#include <array>
#include <string>
#include <unordered_map>

#include "control/daemon/services.hpp"
#include "control/recovery/diagnosis.hpp"

namespace espgate::daemon {

// Packets with SPIs of nobody's that came in the last minutes, by connection and class. Taken together since
// one pass over all flows is as much work as looking for those of one connection; of very many flows the most
// recent ones.
using InvalidPackets = std::unordered_map<std::string, std::array<std::uint64_t, recovery::class_count>>;
InvalidPackets recent_invalid_packets(const Services& services);

// Of a connection, or of its `peer` where it has them at any address (else null). A reading of this moment.
recovery::Facts diagnosis_facts(const Services& services, const config::Connection& connection,
                                const IkeService::Peer* peer, const InvalidPackets& invalid);

}  // namespace espgate::daemon
