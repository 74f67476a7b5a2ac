// A responder whose every message the test makes itself, against one real core as initiator.
#pragma once

#include "tests/control/ike/hand_made_side.hpp"

namespace espgate::ike::test {

class HandMadeResponder : public HandMadeSide {
 public:
  // The core is "a", at 192.0.2.1, and begins at once; the responder is "b", at 192.0.2.2.
  explicit HandMadeResponder(const Connection& connection = connection_of_a(), const Limits& limits = {});

  // -- IKE_SA_INIT --
  // Our answer as it should be, but for what is given here: the proposals, or the key exchange's value.
  PayloadWriter greeting_payloads(const std::optional<SecurityAssociation>& chosen = {},
                                  const std::optional<std::vector<std::uint8_t>>& value = {}) const;
  std::vector<std::uint8_t> greeting_answer(const PayloadWriter& payloads) const;
  // Whether the core goes on with IKE_AUTH, which then is `request`.
  bool answer_greeting(const std::vector<std::uint8_t>& datagram);
  bool answer_greeting(const PayloadWriter& payloads) { return answer_greeting(greeting_answer(payloads)); }
  bool answer_greeting() { return answer_greeting(greeting_payloads()); }

  // -- IKE_AUTH --
  struct Parts {
    Identity identity = fqdn("b.example");
    bool authentication = true;
    bool child = true;
  };
  PayloadWriter proof_payloads(const Parts& parts) const;
  PayloadWriter proof_payloads() const { return proof_payloads(Parts()); }
  // Our answer to `request`, and what the core then does.
  Actions answer(const PayloadWriter& payloads) { return answer_request(request.header, payloads); }
  // All of it as it should be.
  void connect();

  Answer greeting;  // the core's IKE_SA_INIT
  Answer request;   // its IKE_AUTH, opened
};

}  // namespace espgate::ike::test
