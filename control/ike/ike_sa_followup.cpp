// The key exchanges of CREATE_CHILD_SA: its own, and the additional ones that IKE_FOLLOWUP_KE brings (RFC
// 9370 2.2.4), in both roles. Nothing is made, of a child or of an IKE SA, before all of them are through.
//
//   as initiator                                 as responder
//   CREATE_CHILD_SA answered                     CREATE_CHILD_SA comes
//        | take_key                                   | agree_on_key
//        v                                            v        more
//   go_on_with_creation --- complete ---> made   complete? ----------> creation_
//        | more                   ^                   |                   | IKE_FOLLOWUP_KE
//        v                        |                   v                   v
//   IKE_FOLLOWUP_KE -- take_key --+                 made <---------- complete?
//
// Both sides may rekey the same at once. As soon as a side knows that the other one's is to stay, having the
// greater of the lowest nonces, it stops asking for more: what it began is forgotten on either side, and
// nobody has to delete it. If it comes to know that after its last question, the loser is deleted as ever.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t link_bytes = 16;

}  // namespace

// As initiator, with the answer to CREATE_CHILD_SA. False: it does not say how to go on.
bool IkeSa::begin_key_exchanges(const Payloads& answer, const std::vector<std::uint16_t>& additional) {
  const auto* link = answer.notify(NotifyType::additional_key_exchange);
  if (!answer.nonce || (!additional.empty() && link == nullptr)) return false;
  exchange_.keys = {{exchange_.nonce, {answer.nonce->begin(), answer.nonce->end()}}, additional};
  if (link != nullptr) exchange_.keys.link.assign(link->data.begin(), link->data.end());
  return true;
}

void IkeSa::take_key(Bytes value, Time) {
  work<std::optional<Secret>>(
      [half = exchange_.half, value = Nonce(value.begin(), value.end())] {
        return half->shared_secret(value);
      },
      [this](Time then, std::optional<std::optional<Secret>> shared) {
        if (!shared || !*shared) {
          if (exchange_.keys.additional.empty() && exchange_.inbound_spi != 0)
            orphans_.push_back(exchange_.inbound_spi);
          return shared ? creation_failed(Failing::mismatch, "the peer's key exchange value is no key", then)
                        : creation_failed(Failing::no_room, too_much_work, then);
        }
        exchange_.keys.shared.push_back(std::move(**shared));
        go_on_with_creation(then);
      });
}

void IkeSa::go_on_with_creation(Time now) {
  if (exchange_.keys.are_complete()) {
    settle_predecessor(now);
    return exchange_.kind == Exchange::Kind::rekey_ike ? finish_rekey(now) : finish_create(now);
  }
  if (has_lost()) return give_way(now);
  exchange_.method = exchange_.keys.next();
  exchange_.follows = true;
  work<std::shared_ptr<KeyExchangeHalf>>(
      [method = find_key_exchange(exchange_.method)] { return std::make_shared<KeyExchangeHalf>(*method); },
      [this](Time then, std::optional<std::shared_ptr<KeyExchangeHalf>> half) {
        if (!half) return creation_failed(Failing::no_room, too_much_work, then);
        if (has_lost()) return give_way(then);
        exchange_.half = std::move(*half);
        send_request(ExchangeType::ike_followup_ke,
                     PayloadWriter()
                         .add(KeyExchange{exchange_.method, exchange_.half->value()})
                         .add(Notify{NotifyType::additional_key_exchange, exchange_.keys.link}),
                     then);
      });
}

void IkeSa::on_followup_answer(const Inner& inner, Time now) {
  Payloads payloads;
  const auto error = inner.decode(payloads);
  if (error || !payloads.key_exchange || payloads.key_exchange->method != exchange_.method) {
    // The peer may have begun something else, and forgotten this (RFC 9370 2.2.4).
    const auto* refusal = error ? nullptr : payloads.error();
    const bool passes = refusal != nullptr && (refusal->type == NotifyType::temporary_failure ||
                                               refusal->type == NotifyType::state_not_found);
    return creation_failed(passes ? Failing::passing : Failing::mismatch,
                           "the peer refused an additional key exchange", now);
  }
  const auto* link = payloads.notify(NotifyType::additional_key_exchange);
  const bool last = exchange_.keys.shared.size() == exchange_.keys.additional.size();
  if (!last && link == nullptr)
    return creation_failed(Failing::mismatch, "the peer does not say how the key exchanges go on", now);
  if (link != nullptr) exchange_.keys.link.assign(link->data.begin(), link->data.end());
  take_key(payloads.key_exchange->data, now);
}

void IkeSa::creation_failed(Failing kind, const std::string& why, Time now) {
  exchange_.kind == Exchange::Kind::rekey_ike ? rekey_failed(kind, why, now) : create_failed(kind, why, now);
}

// The peer replaces the same, and by what is known its replacement is to stay.
bool IkeSa::has_lost() {
  const auto* old = find_child(exchange_.rekeyed_spi);
  const auto& rival = exchange_.kind == Exchange::Kind::rekey_ike ? peer_rekey_
                      : old != nullptr                            ? old->peer_rekey
                                                                  : exchange_.rival;
  if (exchange_.kind == Exchange::Kind::rekey_ike && state_ != State::established) return true;
  return rival && exchange_.keys.nonces.lowest() < rival->lowest_nonce;
}

void IkeSa::give_way(Time now) {
  if (exchange_.kind == Exchange::Kind::rekey_ike)
    return rekey_failed(Failing::passing, "the peer rekeys it", now);
  release_spi(exchange_.inbound_spi);
  exchange_over();
}

// As responder: the answer says how to go on, and what it is for is kept.
void IkeSa::await_followup(PeerCreation& creation, PayloadWriter& reply, Time now) {
  creation.keys.link = random_bytes(host_, link_bytes);
  creation.until = now + host_.limits().followup_wait;
  creation_ = std::move(creation);
  reply.add(Notify{NotifyType::additional_key_exchange, creation_->keys.link});
}

void IkeSa::on_followup(const Inner& inner, Time now) {
  const auto refuse = [this](NotifyType error) { answer(ExchangeType::ike_followup_ke, error); };
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  const auto* link = payloads.notify(NotifyType::additional_key_exchange);
  if (state_ != State::established || !creation_ || link == nullptr ||
      !std::ranges::equal(link->data, creation_->keys.link))
    return refuse(NotifyType::state_not_found);
  const auto method = creation_->keys.next();
  if (!payloads.key_exchange || payloads.key_exchange->method != method) {
    drop_creation(now);
    return refuse(NotifyType::invalid_syntax);
  }
  answer_additional(*payloads.key_exchange,
                    [this, refuse, method](Time then, std::optional<KeyExchangeAnswer> agreed) {
                      if (!creation_) return refuse(NotifyType::state_not_found);
                      if (!agreed) {
                        drop_creation(then);
                        return refuse(NotifyType::invalid_syntax);
                      }
                      creation_->keys.shared.push_back(std::move(agreed->shared));
                      answer_followup(KeyExchange{method, agreed->value}, then);
                    });
}

void IkeSa::answer_followup(const KeyExchange& key, Time now) {
  PayloadWriter reply;
  reply.add(key);
  auto creation = std::move(*creation_);
  creation_.reset();
  if (!creation.keys.are_complete()) {
    await_followup(creation, reply, now);
    return answer(ExchangeType::ike_followup_ke, reply);
  }
  const auto refusal = creation.terms ? make_child(creation, now) : refusal_of_rekey(creation.heir, now);
  if (refusal) {
    forget_creation(creation, now);
    return refuse_create(ExchangeType::ike_followup_ke, *refusal, creation);
  }
  if (creation.choice) make_heir(creation, now);
  answer(ExchangeType::ike_followup_ke, reply);
}

void IkeSa::drop_creation(Time now) {
  if (!creation_) return;
  auto creation = std::move(*creation_);
  creation_.reset();
  forget_creation(creation, now);
}

// What it should have replaced is ours to replace again.
void IkeSa::forget_creation(PeerCreation& creation, Time now) {
  const auto spi = creation.inbound_spi;
  release_spi(creation.inbound_spi);
  if (spi != 0) forget_successor(spi, {}, now);
  if (creation.choice && peer_rekey_ && peer_rekey_->successor == creation.heir) peer_rekey_.reset();
}

}  // namespace espgate::ike
