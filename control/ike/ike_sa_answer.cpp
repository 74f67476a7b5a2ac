// CREATE_CHILD_SA as responder: for a child, new or in place of another. What excludes what is in RFC
// 7296 2.25.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/child_match.hpp"
#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

void IkeSa::on_create_request(const Inner& inner, Time now) {
  if (state_ != State::established)
    return answer(ExchangeType::create_child_sa, NotifyType::temporary_failure);
  settle_predecessor(now);
  // One at a time: who begins another has given the one before up.
  drop_creation(now);
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  if (!payloads.security_association || !payloads.nonce)
    return answer(ExchangeType::create_child_sa, NotifyType::invalid_syntax);
  const auto& proposals = payloads.security_association->proposals;
  if (proposals.front().protocol == ProtocolId::ike) return answer_rekey(payloads, now);
  answer_create(payloads, payloads.notify(NotifyType::rekey_sa), now);
}

// Asked when the request comes, and again once its work is done.
std::optional<NotifyType> IkeSa::refusal_of_create(const PeerCreation& creation) {
  if (state_ != State::established || exchange_.kind == Exchange::Kind::rekey_ike || close_wanted_)
    return NotifyType::temporary_failure;
  if (creation.rekeyed) {
    const auto spi = creation.rekeyed->outbound_spi();
    const auto* child = find_child_by_outbound(spi);
    // It may be the one that we are making, whose answer is lost.
    if (spi != 0 && child == nullptr && exchange_.makes_child()) return NotifyType::temporary_failure;
    if (spi == 0 || child == nullptr) return NotifyType::child_sa_not_found;
    // On its way out, or replaced by the peer already: once is enough.
    if (child->delete_wanted || (child->peer_rekey && child->peer_rekey->successor != creation.inbound_spi))
      return NotifyType::temporary_failure;
  }
  // A rekey's takes the place of another, which is about to go.
  if (!creation.rekeyed && children_.size() >= host_.limits().children_per_ike_sa)
    return NotifyType::no_additional_sas;
  return {};
}

// Of a child that is not there the peer hears which it meant (RFC 7296 2.25.1).
void IkeSa::refuse_create(ExchangeType exchange, NotifyType why, const PeerCreation& creation) {
  if (why != NotifyType::child_sa_not_found) return answer(exchange, why);
  const auto& [protocol, spi] = *creation.rekeyed;
  answer(exchange, PayloadWriter().add(Notify{why, {}, protocol, spi}));
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
  PeerCreation creation;
  if (rekeyed != nullptr) creation.rekeyed = {rekeyed->protocol, {rekeyed->spi.begin(), rekeyed->spi.end()}};
  if (const auto refusal = refusal_of_create(creation))
    return refuse_create(ExchangeType::create_child_sa, *refusal, creation);
  const auto* replaced =
      creation.rekeyed ? find_child_by_outbound(creation.rekeyed->outbound_spi()) : nullptr;
  auto agreed = agree(payloads, replaced, true, now);
  if (const auto* refusal = std::get_if<NotifyType>(&agreed)) {
    refuse_child(*refusal, describe_refusal(*refusal, payloads, *connection_, true), payloads, replaced, now);
    return answer(ExchangeType::create_child_sa, *refusal);
  }
  creation.terms = std::get<ChildTerms>(std::move(agreed));
  const auto method = creation.terms->choice.key_exchange;
  if (method != 0 && (!payloads.key_exchange || payloads.key_exchange->method != method))
    return refuse_key_exchange(method);
  creation.keys = {{{payloads.nonce->begin(), payloads.nonce->end()}, new_nonce(host_)},
                   creation.terms->choice.additional};
  if (method == 0) return answer_creation(creation, {}, now);
  peer_requests_.is_being_answered = true;
  agree_on_key(method, payloads.key_exchange->data,
               [this, creation](Time then, std::optional<KeyAgreement> agreement) mutable {
                 if (!agreement || !agreement->secret) {
                   if (!agreement)
                     note_child_failure(creation.terms->configuration->name, too_much_work, Failing::no_room);
                   return answer(ExchangeType::create_child_sa,
                                 agreement ? NotifyType::invalid_syntax : NotifyType::temporary_failure);
                 }
                 creation.keys.shared.push_back(*std::move(agreement->secret));
                 answer_creation(creation, agreement->value, then);
               });
}

// The answer to CREATE_CHILD_SA for a child. If more key exchanges are to come, the child is made with the
// last.
void IkeSa::answer_creation(PeerCreation& creation, Bytes value, Time now) {
  const auto& terms = *creation.terms;
  // Not before: an IKE SA that ends while the work is done would leave it reserved.
  const auto reserved = host_.new_child_spi(*terms.configuration);
  if (!reserved) {
    note_child_failure(terms.configuration->name, no_spi, Failing::no_room);
    return answer(ExchangeType::create_child_sa, NotifyType::no_additional_sas);
  }
  creation.inbound_spi = *reserved;
  const bool complete = creation.keys.are_complete();
  const auto refusal = complete ? make_child(creation, now) : refusal_of_create(creation);
  if (refusal) {
    release_spi(creation.inbound_spi);
    return refuse_create(ExchangeType::create_child_sa, *refusal, creation);
  }
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, creation.inbound_spi);
  PayloadWriter reply;
  if (terms.transport) reply.add(Notify{NotifyType::use_transport_mode, {}});
  reply.add(ike::answer(terms.choice, spi)).add_nonce(creation.keys.nonces.responder);
  if (terms.choice.key_exchange != 0) reply.add(KeyExchange{terms.choice.key_exchange, value});
  reply.add_ts_initiator(terms.ts_initiator).add_ts_responder(terms.ts_responder);
  if (!complete) {
    if (creation.rekeyed) note_successor(creation, now);
    await_followup(creation, reply, now);
  }
  answer(ExchangeType::create_child_sa, reply);
}

// The peer replaces a child of ours: we do not. If that is since it moved it goes on with the others.
void IkeSa::note_successor(const PeerCreation& creation, Time now) {
  auto& old = *find_child_by_outbound(creation.rekeyed->outbound_spi());
  old.peer_rekey = PeerRekey{creation.inbound_spi, creation.keys.nonces.lowest()};
  old.rekey_at = never;
  constexpr Time patience = std::chrono::seconds(2);  // from one to the next
  if (!mobility_.agreed || is_mobile()) return;
  for (auto& other : children_)
    if (other.rekey_at != never && !other.is_between(local_.address, remote_.address, encapsulated_))
      other.rekey_at = std::max(other.rekey_at, now + patience);
}

// Traffic does not move to a replacement before the peer deletes the old child or uses the new one: only then
// is it sure that the peer has it.
std::optional<NotifyType> IkeSa::make_child(const PeerCreation& creation, Time now) {
  const auto& configuration = creation.terms->configuration;
  if (const auto refusal = refusal_of_create(creation)) return refusal;
  // A reload may have come in between.
  if (child_named(configuration->name) != configuration) return NotifyType::temporary_failure;
  add_child(*creation.terms, creation.inbound_spi, creation.keys, false, now);
  if (creation.rekeyed) {
    find_child(creation.inbound_spi)->predecessor =
        find_child_by_outbound(creation.rekeyed->outbound_spi())->inbound_spi;
    note_successor(creation, now);
  } else {
    use_new_child(creation.inbound_spi, now);
  }
  return {};
}

}  // namespace espgate::ike
