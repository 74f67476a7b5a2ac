// Whether there is a NAT between the two sides (RFC 7296 2.23). Any thread.
#pragma once

#include <array>
#include <cstdint>

#include "control/ike/endpoint.hpp"
#include "control/ike/keys.hpp"
#include "control/ike/message.hpp"

namespace espgate::ike {

// SHA-1 of the SPIs, address and port: what NAT_DETECTION_*_IP says. It hides an address, and proves nothing.
using NatHash = std::array<std::uint8_t, 20>;
NatHash nat_hash(const Spis& spis, const Endpoint& endpoint);

struct NatSituation {
  bool peer_knows = false;  // both kinds of notifies were there, of the right length
  bool we_are_behind = false;
  bool peer_is_behind = false;
  NatHash as_seen{};  // of our address and port, as the peer sees them
  bool any() const { return we_are_behind || peer_is_behind; }
  // There is a NAT where there was one, with the same mapping of ours (RFC 4555 3.8). With other SPIs or
  // another port than before a mapping never looks the same. That is so once after IKE_AUTH went from port
  // 4500, and once after each rekey of the IKE SA, and none too many: the peer holds the mapping that it saw
  // with IKE_AUTH or was told last, and nothing says whether the one that it sees now is still that one.
  bool is_like(const NatSituation& before) const {
    return we_are_behind == before.we_are_behind && peer_is_behind == before.peer_is_behind &&
           (!we_are_behind || as_seen == before.as_seen);
  }
};
// From a message that came `from` there `to` here.
NatSituation detect_nat(const Payloads& payloads, const Spis& spis, const Endpoint& from, const Endpoint& to);

}  // namespace espgate::ike
