#include "tests/control/ike/hand_made_responder.hpp"

namespace espgate::ike::test {

HandMadeResponder::HandMadeResponder(const Connection& of_core, const Limits& limits)
    : HandMadeSide(false, of_core, limits) {
  handle(Initiate{of_core.name, ""});
  must(sent.size() == 1);
  greeting = read(sent.front().bytes);
  spis = {greeting.header.initiator_spi, 0x1112131415161718};
}

PayloadWriter HandMadeResponder::greeting_payloads(
    const std::optional<SecurityAssociation>& chosen,
    const std::optional<std::vector<std::uint8_t>>& value) const {
  const auto choice = choose(*greeting.payloads.security_association, connection.algorithms, 31);
  must(choice.has_value());
  PayloadWriter payloads;
  payloads.add(chosen ? *chosen : ike::answer(*choice, {}))
      .add(KeyExchange{31, value ? *value : half.value()})
      .add_nonce(nonce);
  auto as_seen = there;
  if (natted) ++as_seen.port;
  payloads.add(Notify{NotifyType::nat_detection_source_ip, nat_hash(spis, here)});
  payloads.add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(spis, as_seen)});
  return payloads;
}

std::vector<std::uint8_t> HandMadeResponder::greeting_answer(const PayloadWriter& payloads) const {
  return write_message(header_of(ExchangeType::ike_sa_init, 0, true), payloads);
}

bool HandMadeResponder::answer_greeting(const std::vector<std::uint8_t>& datagram) {
  first_message_ = datagram;
  handle(DatagramReceived{here, there, first_message_});
  if (sent.empty()) return false;
  must(sent.size() == 1);
  here = sent.front().to;  // with a NAT there are other ports from here on
  there = sent.front().from;
  take_keys(*choose(*greeting.payloads.security_association, connection.algorithms, 31),
            greeting.payloads.key_exchange->data, *greeting.payloads.nonce);
  request = open_request(sent.front().bytes);
  return request.header.exchange == ExchangeType::ike_auth;
}

PayloadWriter HandMadeResponder::proof_payloads(const Parts& parts) const {
  std::vector<std::uint8_t> proof;
  PayloadWriter payloads;
  payloads.add_id_responder(parts.identity.payload());
  if (parts.authentication) payloads.add(prove(parts.identity, proof));
  if (!parts.child) return payloads;
  const auto choice = choose(*request.payloads.security_association, first_child_algorithms(), 0);
  must(choice.has_value());
  const auto spi = spi_bytes_of(first_spi);
  payloads.add(ike::answer(*choice, spi))
      .add_ts_initiator(*request.payloads.ts_initiator)
      .add_ts_responder(*request.payloads.ts_responder);
  return payloads;
}

void HandMadeResponder::connect() {
  must(answer_greeting());
  answer(proof_payloads());
  must(installed_sas() == 2);
}

}  // namespace espgate::ike::test
