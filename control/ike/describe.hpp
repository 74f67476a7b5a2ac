// What was negotiated, or was to be, in words for logs and `explain`. Any thread.
#pragma once

#include <string>
#include <vector>

#include "control/ike/connection.hpp"
#include "control/ike/message.hpp"

namespace espgate::ike {

// "1: aes256-gcm16 sha384 x25519 | 2: ..." with numbers for what has no name here.
std::string describe(const SecurityAssociation& payload);
// "10.1.0.0/16, 10.3.0.7 tcp port 443"; "nothing" if there is none.
std::string describe(const std::vector<SelectorSide>& sides);
// "NO_PROPOSAL_CHOSEN (14)", or "notify 99".
std::string describe(NotifyType type);

// "; in common is no encryption, no PRF", of the two proposals that are the closest; empty: it is not that.
std::string describe_mismatch(const SecurityAssociation& offered, const SecurityAssociation& ours);

// A child as a peer asks for it, or as we would: proposals, then the requester's networks and the other's.
std::string describe_request(const Payloads& request);
std::string describe_request(const ChildConfiguration& ours);
// What a connection of ours lets a peer ask for, as the two above.
std::string describe_allowed(const Connection& ours);

}  // namespace espgate::ike
