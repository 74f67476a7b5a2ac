// IKE_SA_INIT (RFC 7296 1.2). Its answers are not protected: what refuses us is noted, but only ends the
// attempt together with silence (2.21.1).
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "control/ike/signature.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

constexpr unsigned most_attempts = 4;  // with another method or a cookie
constexpr unsigned most_refusals = 4;

// Those of SIGNATURE_HASH_ALGORITHMS that we know, each once, however many there are.
std::vector<std::uint16_t> known_hashes(Bytes sent) {
  std::vector<std::uint16_t> ids;
  for (std::size_t at = 0; at + 2 <= sent.size(); at += 2) ids.push_back(net::load_be16(sent, at));
  return HashSet::of(ids).ids();
}

}  // namespace

void IkeSa::greet(std::vector<ChildHandle> children, Time now) {
  for (auto& child : children) wanted_.push_back({std::move(child), now});
  exchange_.kind = Exchange::Kind::ike_sa_init;
  exchange_.method = connection_->algorithms.key_exchanges.front();
  nonces_.initiator = new_nonce(host_);
  make_first_half(now);
}

void IkeSa::make_first_half(Time now) {
  const auto* method = find_key_exchange(exchange_.method);
  if (method == nullptr) return end(End::failed, "its key exchange is not one of ours", now);
  work<std::shared_ptr<KeyExchangeHalf>>(
      [method] { return std::make_shared<KeyExchangeHalf>(*method); },
      [this](Time then, std::optional<std::shared_ptr<KeyExchangeHalf>> half) {
        if (!half) return end(End::no_room, too_much_work, then);
        exchange_.half = std::move(*half);
        send_greeting(then);
      });
}

void IkeSa::send_greeting(Time now) {
  Header header;
  header.initiator_spi = spis_.initiator;
  header.flags = flag_initiator;
  PayloadWriter payloads;
  if (!cookie_.empty()) payloads.add(Notify{NotifyType::cookie, cookie_});
  payloads.add(offer(connection_->algorithms, {}))
      .add(KeyExchange{exchange_.method, exchange_.half->value()})
      .add_nonce(nonces_.initiator);
  add_capabilities(payloads, local_, remote_);
  our_first_message_ = write_message(header, payloads);
  next_request_id_ = 1;
  request_.start(0, {our_first_message_}, connection_->retransmission, now, random_unit(host_));
  send(request_.messages(), local_, remote_);
}

void IkeSa::add_capabilities(PayloadWriter& payloads, const Endpoint& from, const Endpoint& to) const {
  add_nat_detection(payloads, from, to);
  if (connection_->fragment_bytes != 0) payloads.add(Notify{NotifyType::ikev2_fragmentation_supported, {}});
  std::vector<std::uint8_t> hashes;
  for (const auto hash : connection_->authenticator->signature_hashes()) {
    hashes.push_back(static_cast<std::uint8_t>(hash >> 8));
    hashes.push_back(static_cast<std::uint8_t>(hash));
  }
  if (!hashes.empty()) payloads.add(Notify{NotifyType::signature_hash_algorithms, hashes});
  if (!is_initiator_) payloads.add(Notify{NotifyType::childless_ikev2_supported, {}});
  // As responder when a proposal with additional key exchanges was chosen.
  if (is_initiator_ ? !connection_->algorithms.additional.empty() : !choice_->additional.empty())
    payloads.add(Notify{NotifyType::intermediate_exchange_supported, {}});
  if (connection_->ppk_use != PpkUse::off && (is_initiator_ || peer_.has_ppk))
    payloads.add(Notify{NotifyType::use_ppk, {}});
}

void IkeSa::note_capabilities(const Payloads& payloads, const Endpoint& from, const Endpoint& to) {
  // The initiator hashes with a responder's SPI of 0, since it does not know it.
  const Spis as_sent{spis_.initiator, is_initiator_ ? spis_.responder : 0};
  nat_ = detect_nat(payloads, as_sent, from, to);
  peer_.fragments = payloads.notify(NotifyType::ikev2_fragmentation_supported) != nullptr;
  peer_.childless = payloads.notify(NotifyType::childless_ikev2_supported) != nullptr;
  peer_.has_ppk = payloads.notify(NotifyType::use_ppk) != nullptr;
  if (const auto* hashes = payloads.notify(NotifyType::signature_hash_algorithms))
    peer_.wishes.signature_hashes = known_hashes(hashes->data);
}

void IkeSa::float_ports() {
  encapsulated_ = nat_.any() || (nat_.peer_knows && connection_->force_encapsulation);
  // Who may move is there at once, since a NAT may be on the way later (RFC 4555 3.3).
  const bool may_move = nat_.peer_knows && !connection_->other_locals.empty();
  if (!is_initiator_ || !(encapsulated_ || may_move)) return;
  local_.port = net::natt_port;
  if (remote_.port == net::ike_port) remote_.port = net::natt_port;
}

void IkeSa::derive_first_keys(const Secret& shared) {
  const auto prf = choice_->prf;
  const auto& suite = crypto::suite(choice_->suite);
  keys_ = derive_keys(prf, first_seed(prf, nonces_.view(), shared), nonces_.view(), spis_, suite);
  channel_.emplace(spis_, is_initiator_, suite, keys_);
}

void IkeSa::on_greeting_answer(const Header& header, Bytes datagram, Time now) {
  if (!request_.is_under_way() || header.message_id != 0 || header.from_initiator()) return;
  Payloads payloads;
  if (decode_payloads(header.first, datagram.subspan(header_bytes), payloads)) return;
  if (!payloads.security_association) return on_greeting_refused(payloads, now);
  if (!payloads.key_exchange || !payloads.nonce || header.responder_spi == 0) return;
  const auto choice = accept_ike_answer(*payloads.security_association, connection_->algorithms);
  if (!choice || choice->key_exchange != exchange_.method ||
      payloads.key_exchange->method != exchange_.method) {
    return note_refusal([&] {
      return fmt::format("it chose {}, which is not of our offer {}",
                         describe(*payloads.security_association),
                         describe(offer(connection_->algorithms, {})));
    });
  }
  // Anybody may have sent it, so what cannot be is not the end.
  if (payloads.key_exchange->data.size() != exchange_.half->method().answer_bytes)
    return note_refusal([] { return "its key exchange value is not as long as its method's are"; });
  if (!choice->additional.empty() && !payloads.notify(NotifyType::intermediate_exchange_supported))
    return note_refusal([] { return "it chose additional key exchanges, and does not do IKE_INTERMEDIATE"; });
  request_.finish();
  refused_ = {};
  choice_ = choice;
  spis_.responder = header.responder_spi;
  nonces_.responder.assign(payloads.nonce->begin(), payloads.nonce->end());
  peers_first_message_.assign(datagram.begin(), datagram.end());
  note_capabilities(payloads, remote_, local_);
  if (host_.wants_steps())
    log(Level::debug, fmt::format("IKE_SA_INIT is through: {}; {}", describe(*choice), describe(nat_)));
  float_ports();
  const auto half = exchange_.half;
  const Nonce value(payloads.key_exchange->data.begin(), payloads.key_exchange->data.end());
  work<std::optional<Secret>>([half, value] { return half->shared_secret(value); },
                              [this](Time then, std::optional<std::optional<Secret>> shared) {
                                if (!shared) return end(End::no_room, too_much_work, then);
                                if (!*shared)
                                  return end(End::failed, "the peer's key exchange value is no key", then);
                                derive_first_keys(**shared);
                                exchange_over();
                                state_ = State::proving;
                                go_on_with_proof(then);
                              });
}

// Each answer of this kind is followed a few times only: none of it is authentic.
void IkeSa::on_greeting_refused(const Payloads& payloads, Time now) {
  if (const auto* cookie = payloads.notify(NotifyType::cookie)) {
    constexpr std::size_t longest = 64;
    if (cookie->data.empty() || cookie->data.size() > longest || ++exchange_.attempts > most_attempts) return;
    cookie_.assign(cookie->data.begin(), cookie->data.end());
    log(Level::debug, "the peer asks for its COOKIE");
    return send_greeting(now);
  }
  if (const auto* other = payloads.notify(NotifyType::invalid_ke_payload)) {
    if (other->data.size() != 2) return;
    const auto wanted = net::load_be16(other->data, 0);
    const auto& ours = connection_->algorithms.key_exchanges;
    if (std::ranges::find(ours, wanted) == ours.end())
      return note_refusal([&] {
        return fmt::format("it wants {}, which is not of our offer {}", key_exchange_text(wanted),
                           describe(offer(connection_->algorithms, {})));
      });
    if (wanted == exchange_.method || ++exchange_.attempts > most_attempts) return;
    log(Level::debug, fmt::format("the peer wants {} instead of {}", key_exchange_text(wanted),
                                  key_exchange_text(exchange_.method)));
    request_.finish();
    exchange_.method = wanted;
    return make_first_half(now);
  }
  const auto* error = payloads.error();
  if (error == nullptr) return;
  note_refusal([&] {
    return fmt::format("{} to our offer {}", describe(error->type),
                       describe(offer(connection_->algorithms, {})));
  });
}

// Anybody may say it, as often as it likes: the first few of an attempt are looked at, and the same again is
// not told again.
void IkeSa::note_refusal(const std::function<std::string()>& why) {
  if (++exchange_.refusals > most_refusals) return;
  auto text = why();
  if (text != refused_.why) log(Level::warning, fmt::format("IKE_SA_INIT is refused: {}", text));
  refused_ = {std::move(text)};
}

void IkeSa::answer_greeting(Bytes datagram, const Payloads& payloads, const IkeChoice& choice, Time now) {
  until_ = now + host_.limits().half_open_life;
  choice_ = choice;
  if (!choice.additional.empty() && !payloads.notify(NotifyType::intermediate_exchange_supported))
    return end(End::failed, "the peer offers additional key exchanges, and does not do IKE_INTERMEDIATE",
               now);
  peers_first_message_.assign(datagram.begin(), datagram.end());
  nonces_.initiator.assign(payloads.nonce->begin(), payloads.nonce->end());
  nonces_.responder = new_nonce(host_);
  note_capabilities(payloads, remote_, local_);
  if (host_.wants_steps())
    log(Level::debug, fmt::format("IKE_SA_INIT has come: {}; {}", describe(choice), describe(nat_)));
  float_ports();
  agree_on_key(choice.key_exchange, payloads.key_exchange->data,
               [this](Time then, std::optional<KeyAgreement> agreed) {
                 if (!agreed) return end(End::no_room, too_much_work, then);
                 if (!agreed->secret)
                   return end(End::failed, "the peer's key exchange value is no key", then);
                 derive_first_keys(*agreed->secret);
                 Header header;
                 header.initiator_spi = spis_.initiator;
                 header.responder_spi = spis_.responder;
                 header.flags = flag_response;
                 PayloadWriter answer;
                 answer.add(ike::answer(*choice_, {}))
                     .add(KeyExchange{choice_->key_exchange, agreed->value})
                     .add_nonce(nonces_.responder);
                 add_capabilities(answer, local_, remote_);
                 if (const auto authorities = connection_->authenticator->authorities(); !authorities.empty())
                   answer.add(CertificateRequest{CertificateEncoding::x509_signature, authorities});
                 our_first_message_ = write_message(header, answer);
                 peer_requests_.next_id = 1;
                 state_ = State::keyed;
                 send({our_first_message_}, local_, remote_);
               });
}

void IkeSa::greeting_repeated(Bytes datagram) {
  // Another message from the same place with the same SPI is somebody else's, or a mistake.
  if (state_ == State::keyed && std::ranges::equal(datagram, peers_first_message_))
    send({our_first_message_}, local_, remote_);
}

}  // namespace espgate::ike
