#include "tests/control/ike/hand_made_peer.hpp"

namespace espgate::ike::test {

HandMadePeer::HandMadePeer(const Connection& of_core, const Limits& limits)
    : HandMadeSide(true, of_core, limits) {
  spis.initiator = 0x0102030405060708;
}

PayloadWriter HandMadePeer::greeting_payloads() const {
  PayloadWriter payloads;
  payloads.add(offer(connection.algorithms, {})).add(KeyExchange{31, half.value()}).add_nonce(nonce);
  payloads.add(Notify{NotifyType::ikev2_fragmentation_supported, {}});
  const Spis as_sent{spis.initiator, 0};
  auto as_seen = here;
  if (natted) ++as_seen.port;
  payloads.add(Notify{NotifyType::nat_detection_source_ip, nat_hash(as_sent, as_seen)});
  payloads.add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(as_sent, there)});
  return payloads;
}

std::vector<std::uint8_t> HandMadePeer::greeting(const PayloadWriter& payloads) const {
  auto header = header_of(ExchangeType::ike_sa_init, 0, false);
  header.responder_spi = 0;
  return write_message(header, payloads);
}

std::optional<HandMadePeer::Answer> HandMadePeer::greet(const std::vector<std::uint8_t>& datagram) {
  handle(DatagramReceived{here, there, datagram});
  if (sent.empty()) return {};
  return read(sent.front().bytes);
}

void HandMadePeer::greet() {
  first_message_ = greeting(greeting_payloads());
  const auto answer = greet(first_message_);
  must(answer.has_value());
  const auto& payloads = answer->payloads;
  must(payloads.security_association.has_value());
  spis.responder = answer->header.responder_spi;
  take_keys(*accept_ike_answer(*payloads.security_association, connection.algorithms),
            payloads.key_exchange->data, *payloads.nonce);
  next_id = 1;
}

PayloadWriter HandMadePeer::proof_payloads(bool with_child) {
  const auto identity = fqdn("a.example");
  std::vector<std::uint8_t> proof;
  PayloadWriter payloads;
  payloads.add_id_initiator(identity.payload()).add(prove(identity, proof));
  if (!with_child) return payloads;
  const auto spi = spi_bytes_of(first_spi);
  payloads.add(offer(first_child_algorithms(), spi))
      .add_ts_initiator({connection.children[0].remote})
      .add_ts_responder({connection.children[0].local});
  return payloads;
}

void HandMadePeer::connect() {
  greet();
  const auto answer = ask(ExchangeType::ike_auth, proof_payloads());
  must(answer.has_value());
  must(answer->payloads.authentication.has_value());
  must(answer->payloads.security_association.has_value());
}

std::vector<std::uint32_t> HandMadePeer::answer_rekey(const std::vector<std::uint8_t>& datagram,
                                                      std::uint32_t number) {
  const auto request = open_request(datagram);
  const auto spi = spi_bytes_of(number);
  const auto choice = choose(*request.payloads.security_association, connection.children[0].algorithms, 0);
  must(choice.has_value());
  PayloadWriter reply;
  reply.add(ike::answer(*choice, spi))
      .add_nonce(nonce)
      .add_ts_initiator(*request.payloads.ts_initiator)
      .add_ts_responder(*request.payloads.ts_responder);
  answer_request(request.header, reply);
  must(sent.size() == 1);
  const auto then = open_request(sent[0].bytes);
  must(then.payloads.deletes.size() == 1);
  return then.payloads.deletes[0].spis;
}

}  // namespace espgate::ike::test
