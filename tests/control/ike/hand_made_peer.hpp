// An initiator whose every message the test makes itself, against one real core as responder.
#pragma once

#include "tests/control/ike/hand_made_side.hpp"

namespace espgate::ike::test {

class HandMadePeer : public HandMadeSide {
 public:
  // The core is "b", at 192.0.2.2; the peer is "a", at 192.0.2.1.
  explicit HandMadePeer(const Connection& connection = connection_of_b(), const Limits& limits = {});

  // -- IKE_SA_INIT --
  // The datagram that `payloads` make.
  std::vector<std::uint8_t> greeting(const PayloadWriter& payloads) const;
  PayloadWriter greeting_payloads() const;
  // Sends it and takes what comes back, in clear; none: nothing did.
  std::optional<Answer> greet(const std::vector<std::uint8_t>& datagram);
  // IKE_SA_INIT as it should be, up to the keys.
  void greet();

  // -- IKE_AUTH and on --
  PayloadWriter proof_payloads(bool with_child = true);
  // All of it as it should be.
  void connect();

  // Answers the core's CREATE_CHILD_SA request, and gives the SPIs of the DELETE that the core then sends.
  std::vector<std::uint32_t> answer_rekey(const std::vector<std::uint8_t>& request, std::uint32_t spi);
  static Notify rekey_of(const std::array<std::uint8_t, 4>& spi, ProtocolId protocol = ProtocolId::esp) {
    return {NotifyType::rekey_sa, {}, protocol, spi};
  }
};

}  // namespace espgate::ike::test
