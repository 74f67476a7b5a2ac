#include "tests/control/ike/hand_made_peer.hpp"

#include <random>
#include <stdexcept>

#include "datapath/net/bytes.hpp"

namespace espgate::ike::test {
namespace {

IkeCore::Parts parts() {
  IkeCore::Parts made;
  made.random = [random = std::make_shared<std::mt19937>(11)](std::span<std::uint8_t> bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>((*random)());
  };
  made.child_spi = [next = std::make_shared<std::uint32_t>(0x2000)](const std::string&) {
    return std::optional<std::uint32_t>(++*next);
  };
  return made;
}

// Not Catch's, for the fuzz targets to use this, too.
void must(bool truth) {
  if (!truth) throw std::logic_error("the core's message is not what it should be");
}

}  // namespace

HandMadePeer::HandMadePeer(Connection of_core, const Limits& limits)
    : core(parts(), limits), connection(of_core), half(*find_key_exchange(31)) {
  core.configure({test::handle(of_core)}, now);
}

Actions HandMadePeer::handle(const Event& event) {
  auto actions = core.handle(event, now);
  // By index: work adds more.
  for (std::size_t i = 0; i < actions.size(); ++i)
    if (const auto* work = std::get_if<RunWork>(&actions[i])) {
      work->run();
      auto more = core.handle(WorkFinished{work->ticket}, now);
      std::ranges::move(more, std::back_inserter(actions));
    }
  sent.clear();
  for (const auto& action : actions) {
    if (const auto* datagram = std::get_if<SendDatagram>(&action)) sent.push_back(*datagram);
    if (std::holds_alternative<InstallInbound>(action) || std::holds_alternative<InstallOutbound>(action) ||
        std::holds_alternative<RetireInbound>(action) || std::holds_alternative<RetireOutbound>(action))
      installed.push_back(action);
  }
  return actions;
}

const IkeSa* HandMadePeer::only_sa() const {
  const auto all = core.ike_sas();
  return all.size() == 1 ? all.front() : nullptr;
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
  Header header;
  header.initiator_spi = spis.initiator;
  header.flags = flag_initiator;
  return write_message(header, payloads);
}

std::optional<HandMadePeer::Answer> HandMadePeer::greet(const std::vector<std::uint8_t>& datagram) {
  handle(DatagramReceived{here, there, datagram});
  if (sent.empty()) return {};
  Answer answer;
  answer.bytes = std::make_shared<std::vector<std::uint8_t>>(sent.front().bytes);
  must(!decode_header(*answer.bytes, answer.header));
  must(!decode_payloads(answer.header.first, Bytes(*answer.bytes).subspan(header_bytes), answer.payloads));
  return answer;
}

void HandMadePeer::greet() {
  first_message_ = greeting(greeting_payloads());
  const auto answer = greet(first_message_);
  must(answer.has_value());
  answer_ = *answer->bytes;
  const auto& payloads = answer->payloads;
  must(payloads.security_association.has_value());
  choice_ = *accept_ike_answer(*payloads.security_association, connection.algorithms);
  spis.responder = answer->header.responder_spi;
  their_nonce_.assign(payloads.nonce->begin(), payloads.nonce->end());
  const Nonces nonces{nonce, their_nonce_};
  const auto& suite = crypto::suite(choice_.suite);
  const auto seed = first_seed(choice_.prf, nonces, *half.shared_secret(payloads.key_exchange->data));
  keys_ = derive_keys(choice_.prf, seed, nonces, spis, suite);
  channel_.emplace(spis, true, suite, keys_);
  next_id = 1;
}

PayloadWriter HandMadePeer::proof_payloads(bool with_child) {
  const auto identity = fqdn("a.example");
  const auto octets =
      signed_octets(choice_.prf, first_message_, their_nonce_, keys_.proof_initiator, identity.body(), {});
  const auto proof = shared_key("correct horse battery staple")->prove(choice_.prf, octets, {});
  PayloadWriter payloads;
  payloads.add_id_initiator(identity.payload()).add(Authentication{proof->method, proof->data});
  if (!with_child) return payloads;
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, first_spi);
  auto algorithms = connection.children[0].algorithms;
  algorithms.key_exchanges.clear();
  payloads.add(offer(algorithms, spi))
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

Messages HandMadePeer::seal(ExchangeType exchange, std::uint32_t id, const PayloadWriter& payloads,
                            std::size_t most) {
  return channel_->seal(exchange, false, id, payloads, most);
}

std::vector<std::uint8_t> HandMadePeer::seal_raw(ExchangeType exchange, std::uint32_t id, PayloadType first,
                                                 Bytes payloads, bool is_response) {
  Header header;
  header.initiator_spi = spis.initiator;
  header.responder_spi = spis.responder;
  header.exchange = exchange;
  header.flags = static_cast<std::uint8_t>(flag_initiator | (is_response ? flag_response : 0));
  header.message_id = id;
  Protection protection(crypto::suite(choice_.suite), keys_.encryption_initiator, keys_.integrity_initiator);
  return protection.seal(header, first, payloads);
}

std::optional<HandMadePeer::Answer> HandMadePeer::ask(ExchangeType exchange, const PayloadWriter& payloads) {
  return deliver(seal(exchange, next_id++, payloads).front());
}

std::optional<HandMadePeer::Answer> HandMadePeer::deliver(const std::vector<std::uint8_t>& datagram) {
  handle(DatagramReceived{here, there, datagram});
  for (const auto& each : sent) {
    Answer answer;
    must(!decode_header(each.bytes, answer.header));
    if (!answer.header.is_response()) continue;
    auto opened = channel_->open(answer.header, each.bytes, 65'535);
    must(opened.has_value());
    if (!opened->is_whole) continue;
    answer.bytes = std::make_shared<std::vector<std::uint8_t>>(std::move(opened->bytes));
    must(!decode_payloads(opened->first, *answer.bytes, answer.payloads));
    return answer;
  }
  return {};
}

HandMadePeer::Answer HandMadePeer::open_request(const std::vector<std::uint8_t>& datagram) {
  Answer request;
  must(!decode_header(datagram, request.header));
  auto opened = channel_->open(request.header, datagram, 65'535);
  must(opened.has_value());
  request.bytes = std::make_shared<std::vector<std::uint8_t>>(std::move(opened->bytes));
  must(!decode_payloads(opened->first, *request.bytes, request.payloads));
  return request;
}

Actions HandMadePeer::answer_request(const Header& request, const PayloadWriter& payloads) {
  const auto datagram = channel_->seal(request.exchange, true, request.message_id, payloads, 0).front();
  return handle(DatagramReceived{here, there, datagram});
}

std::vector<std::uint32_t> HandMadePeer::answer_rekey(const std::vector<std::uint8_t>& request,
                                                      std::uint32_t number) {
  Header header;
  Payloads payloads;
  must(!decode_header(request, header));
  const auto opened = channel_->open(header, request, 65'535);
  must(opened.has_value());
  must(!decode_payloads(opened->first, opened->bytes, payloads));
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, number);
  const auto choice = choose(*payloads.security_association, connection.children[0].algorithms, 0);
  must(choice.has_value());
  PayloadWriter reply;
  reply.add(ike::answer(*choice, spi))
      .add_nonce(nonce)
      .add_ts_initiator(*payloads.ts_initiator)
      .add_ts_responder(*payloads.ts_responder);
  const auto datagram = channel_->seal(header.exchange, true, header.message_id, reply, 0).front();
  handle(DatagramReceived{here, there, datagram});
  must(sent.size() == 1);
  must(!decode_header(sent[0].bytes, header));
  const auto then = channel_->open(header, sent[0].bytes, 65'535);
  must(then.has_value());
  Payloads informational;
  must(!decode_payloads(then->first, then->bytes, informational));
  must(informational.deletes.size() == 1);
  return informational.deletes[0].spis;
}

PayloadWriter HandMadePeer::child_payloads(PayloadWriter first, std::uint32_t number) const {
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, number);
  first.add(offer(connection.children[0].algorithms, spi))
      .add_nonce(nonce)
      .add_ts_initiator({connection.children[0].remote})
      .add_ts_responder({connection.children[0].local});
  return first;
}

}  // namespace espgate::ike::test
