// CREATE_CHILD_SA as responder: for a child, new or in place of another. What excludes what is in RFC
// 7296 2.25.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t nonce_bytes = 32;

// The outbound SPI (of ours) that a REKEY_SA names; 0: none that there could be.
std::uint32_t rekeyed_spi(const Notify& notify) {
  if (notify.protocol != ProtocolId::esp || notify.spi.size() != 4) return 0;
  return net::load_be32(notify.spi, 0);
}

}  // namespace

void IkeSa::on_create_request(const Inner& inner, Time now) {
  if (state_ != State::established)
    return answer(ExchangeType::create_child_sa, NotifyType::temporary_failure);
  settle_predecessor(now);
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  if (!payloads.security_association || !payloads.nonce)
    return answer(ExchangeType::create_child_sa, NotifyType::invalid_syntax);
  const auto& proposals = payloads.security_association->proposals;
  if (proposals.front().protocol == ProtocolId::ike) return answer_rekey(payloads);
  answer_create(payloads, payloads.notify(NotifyType::rekey_sa), now);
}

// Asked when the request comes, and again once its work is done.
std::optional<NotifyType> IkeSa::refusal_of_create(std::uint32_t rekeyed_outbound_spi, bool is_rekey) {
  if (state_ != State::established || exchange_.kind == Exchange::Kind::rekey_ike || close_wanted_)
    return NotifyType::temporary_failure;
  if (is_rekey) {
    const auto* child = find_child_by_outbound(rekeyed_outbound_spi);
    if (rekeyed_outbound_spi == 0 || child == nullptr) return NotifyType::child_sa_not_found;
    // On its way out, or replaced by the peer already: once is enough.
    if (child->delete_wanted || child->peer_rekey) return NotifyType::temporary_failure;
  }
  // A rekey's takes the place of another, which is about to go.
  if (!is_rekey && children_.size() >= host_.limits().children_per_ike_sa)
    return NotifyType::no_additional_sas;
  return {};
}

void IkeSa::refuse_key_exchange(std::uint16_t wanted) {
  const std::uint8_t bytes[] = {static_cast<std::uint8_t>(wanted >> 8), static_cast<std::uint8_t>(wanted)};
  answer(ExchangeType::create_child_sa, NotifyType::invalid_ke_payload, bytes);
}

void IkeSa::agree_on_key(std::uint16_t method, Bytes value,
                         std::function<void(Time, std::optional<KeyAgreement>)> then) {
  work<KeyAgreement>(
      [method, theirs = Nonce(value.begin(), value.end())] {
        const KeyExchangeHalf half(*find_key_exchange(method));
        return KeyAgreement{half.value(), half.shared_secret(theirs)};
      },
      std::move(then));
}

void IkeSa::answer_create(const Payloads& payloads, const Notify* rekeyed, Time now) {
  const bool is_rekey = rekeyed != nullptr;
  const auto old_spi = is_rekey ? rekeyed_spi(*rekeyed) : 0;
  if (const auto refusal = refusal_of_create(old_spi, is_rekey)) {
    PayloadWriter reply;
    if (*refusal == NotifyType::child_sa_not_found)
      reply.add(Notify{*refusal, {}, rekeyed->protocol, rekeyed->spi});
    else
      reply.add(Notify{*refusal, {}});
    return answer(ExchangeType::create_child_sa, reply);
  }
  const auto agreed =
      agree(payloads, is_rekey ? find_child_by_outbound(old_spi)->configuration : nullptr, true);
  if (const auto* refusal = std::get_if<NotifyType>(&agreed)) {
    log(Level::warning,
        fmt::format("a child of the peer's is refused with {}: it offered {}; we allow {}",
                    describe(*refusal), describe_request(payloads), describe_allowed(*connection_)));
    return answer(ExchangeType::create_child_sa, *refusal);
  }
  const auto& terms = std::get<ChildTerms>(agreed);
  const auto method = terms.choice.key_exchange;
  if (method != 0 && (!payloads.key_exchange || payloads.key_exchange->method != method))
    return refuse_key_exchange(method);
  const auto spi = host_.new_child_spi(*terms.configuration);
  if (!spi) return answer(ExchangeType::create_child_sa, NotifyType::no_additional_sas);
  const ExchangeNonces nonces{{payloads.nonce->begin(), payloads.nonce->end()},
                              random_bytes(host_, nonce_bytes)};
  if (method == 0) return finish_answer_create(terms, *spi, old_spi, is_rekey, nonces, {}, now);
  peer_requests_.is_being_answered = true;
  agree_on_key(
      method, payloads.key_exchange->data,
      [this, terms, spi = *spi, old_spi, is_rekey, nonces](Time then, std::optional<KeyAgreement> agreement) {
        auto ours = spi;
        if (!agreement || !agreement->secret) {
          release_spi(ours);
          return answer(ExchangeType::create_child_sa,
                        agreement ? NotifyType::invalid_syntax : NotifyType::temporary_failure);
        }
        finish_answer_create(terms, spi, old_spi, is_rekey, nonces, *agreement, then);
      });
}

// Traffic does not move to a replacement before the peer deletes the old child or uses the new one: only then
// is it sure that the peer has it.
void IkeSa::finish_answer_create(const ChildTerms& terms, std::uint32_t inbound_spi,
                                 std::uint32_t rekeyed_outbound_spi, bool is_rekey,
                                 const ExchangeNonces& nonces, const KeyAgreement& agreement, Time now) {
  auto refusal = refusal_of_create(rekeyed_outbound_spi, is_rekey);
  // A reload may have come in between.
  if (!refusal && child_named(terms.configuration->name) != terms.configuration)
    refusal = NotifyType::temporary_failure;
  if (refusal) {
    release_spi(inbound_spi);
    return answer(ExchangeType::create_child_sa, *refusal);
  }
  add_child(terms, inbound_spi, nonces, agreement.secret, false, now);
  auto& child = *find_child(inbound_spi);
  if (is_rekey) {
    auto& old = *find_child_by_outbound(rekeyed_outbound_spi);
    child.predecessor = old.inbound_spi;
    old.peer_rekey = PeerRekey{inbound_spi, nonces.lowest()};
    old.rekey_at = never;
  } else {
    use_new_child(inbound_spi, now);
  }
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, inbound_spi);
  PayloadWriter reply;
  if (terms.transport) reply.add(Notify{NotifyType::use_transport_mode, {}});
  reply.add(ike::answer(terms.choice, spi)).add_nonce(nonces.responder);
  if (terms.choice.key_exchange != 0) reply.add(KeyExchange{terms.choice.key_exchange, agreement.value});
  reply.add_ts_initiator(terms.ts_initiator).add_ts_responder(terms.ts_responder);
  answer(ExchangeType::create_child_sa, reply);
}

}  // namespace espgate::ike
