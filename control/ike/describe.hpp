// What was negotiated, or was to be, in words for logs and `explain`. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/ike/connection.hpp"
#include "control/ike/message.hpp"
#include "control/ike/nat_detection.hpp"

namespace espgate::ike {

// "1: aes256-gcm16 sha384 x25519 | 2: ..." with numbers for what has no name here.
std::string describe(const SecurityAssociation& payload);
// "10.1.0.0/16, 10.3.0.7 tcp port 443"; "nothing" if there is none.
std::string describe(const std::vector<SelectorSide>& sides);
// "NO_PROPOSAL_CHOSEN (14)", or "notify 99".
std::string describe(NotifyType type);
// "IKE_AUTH"; empty: one that IKEv2 has not, which anybody may make up.
std::string_view describe(ExchangeType type);
// "aes256-gcm16, prf-sha256, x25519, then ecp384".
std::string describe(const IkeChoice& choice);
// "no NAT on the way".
std::string_view describe(const NatSituation& nat);
// "x25519", or "key exchange 99".
std::string key_exchange_text(std::uint16_t method);

// "in common is no encryption, no PRF; ", of the two proposals that are the closest; empty: it is not that.
std::string describe_mismatch(const SecurityAssociation& offered, const SecurityAssociation& ours);

// A child as a peer asks for it, or as we would: proposals, then the requester's networks and the other's.
// `with_key_exchange`: as in CREATE_CHILD_SA. The first child, of IKE_AUTH, has none of its own.
std::string describe_request(const Payloads& request);
std::string describe_request(const ChildConfiguration& ours, bool with_key_exchange);
// What a connection of ours lets a peer ask for, as the two above.
std::string describe_allowed(const Connection& ours, bool with_key_exchange);
// A child of the peer's that is refused: which comparison failed, of our child that is the closest, and then
// what it asked for and what we allow, which can be long.
std::string describe_refusal(NotifyType error, const Payloads& request, const Connection& ours,
                             bool with_key_exchange);
// The peer refuses our AUTH, with IKE_AUTH or once it has seen it.
std::string why_disbelieved(const Connection& ours);

}  // namespace espgate::ike
