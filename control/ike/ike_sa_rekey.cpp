// CREATE_CHILD_SA for the IKE SA itself, as initiator and as responder (RFC 7296 1.3.2, 2.8, 2.25.2). The
// children go to the new IKE SA: at once, unless both sides rekey. Then it is the one whose exchange has not
// the lowest nonce, and who made the other deletes it.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/child_match.hpp"
#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

std::array<std::uint8_t, 8> bytes_of(std::uint64_t spi) {
  std::array<std::uint8_t, 8> bytes;
  net::store_be64(bytes, 0, spi);
  return bytes;
}

bool is_up(const IkeSa* sa) {
  return sa != nullptr && sa->state() == IkeSa::State::established;
}

}  // namespace

void IkeSa::start_rekey(Time now) {
  exchange_.kind = Exchange::Kind::rekey_ike;
  exchange_.ike_spi = host_.new_ike_spi();
  exchange_.nonce = new_nonce(host_);
  exchange_.method = choice_->key_exchange;
  const auto& allowed = connection_->algorithms.key_exchanges;
  if (std::ranges::find(allowed, exchange_.method) == allowed.end()) exchange_.method = allowed.front();
  make_half(now);
}

void IkeSa::send_rekey(Time now) {
  // Meanwhile the peer may have deleted it, or its own may have been answered.
  if (state_ != State::established) return exchange_over();
  if (peer_rekey_) return rekey_failed(Failing::passing, "the peer rekeys it", now);
  PayloadWriter payloads;
  payloads.add(offer(connection_->algorithms, bytes_of(exchange_.ike_spi)))
      .add_nonce(exchange_.nonce)
      .add(KeyExchange{exchange_.method, exchange_.half->value()});
  send_request(ExchangeType::create_child_sa, payloads, now);
}

void IkeSa::on_rekey_answer(const Inner& inner, Time now) {
  Payloads payloads;
  if (const auto error = inner.decode(payloads))
    return rekey_failed(Failing::mismatch, fmt::format("the answer is bad: {}", error->what), now);
  if (!payloads.security_association) {
    if (try_other_method(payloads, connection_->algorithms.key_exchanges, now)) return;
    const auto* error = payloads.error();
    if (error != nullptr && error->type == NotifyType::temporary_failure)
      return rekey_failed(Failing::passing, "the peer is busy with something that excludes it", now);
    return rekey_failed(error == nullptr ? Failing::mismatch : failing_of(error->type),
                        fmt::format("the peer refused it with {}; we offered {}",
                                    error == nullptr ? "no reason" : describe(error->type),
                                    describe(offer(connection_->algorithms, {}))),
                        now);
  }
  const auto choice = accept_ike_answer(*payloads.security_association, connection_->algorithms);
  if (!choice || choice->spi == 0 || choice->key_exchange != exchange_.method || !payloads.nonce ||
      !payloads.key_exchange || payloads.key_exchange->method != exchange_.method ||
      !begin_key_exchanges(payloads, choice->additional))
    return rekey_failed(Failing::mismatch, "the peer's answer does not fit our offer", now);
  exchange_.choice = choice;
  if (const auto* token = crash_token_of(payloads))
    exchange_.peers_token = Secret({token->data.begin(), token->data.end()});
  take_key(payloads.key_exchange->data, now);
}

void IkeSa::rekey_failed(Failing kind, const std::string& why, Time now) {
  const bool peers_stays = has_lost();
  exchange_over();
  if (state_ != State::established) return;
  if (peer_rekey_) {
    // The peer's is the one that counts, now or once its key exchanges are complete. If the peer has closed
    // it before we knew, that was for its children, too, unless it had lost to ours.
    if (creation_ && creation_->heir == peer_rekey_->successor) return;
    auto* heir = host_.find(peer_rekey_->successor);
    if (is_up(heir)) return hand_over(*heir, now);
    if (peers_stays) return end(End::by_peer, "the peer closed it", now);
    peer_rekey_.reset();
  }
  log(Level::warning, fmt::format("the IKE SA is not rekeyed: {}", why));
  if (kind != Failing::passing) refused_ = {why, kind};
  schedule_.rekey_at = now + retry_wait(host_, rekey_failures_++);
}

void IkeSa::finish_rekey(Time now) {
  const auto made = std::exchange(exchange_, {});
  auto& heir =
      make_successor(host_.new_sa_id(), *made.choice, {made.ike_spi, made.choice->spi}, true, made.keys, now);
  constexpr Time soon = std::chrono::seconds(1);  // when more urgent things are done
  if (!peers_token_.empty()) heir.token_due_ = now + soon;
  heir.peers_token_ = made.peers_token;
  // The peer's successor is in use already, so the peer waits for us to delete ours.
  if (state_ != State::established) return heir.close(End::replaced);
  auto* other = peer_rekey_ ? host_.find(peer_rekey_->successor) : nullptr;
  const bool other_comes = peer_rekey_ && creation_ && creation_->heir == peer_rekey_->successor;
  if ((is_up(other) || other_comes) && made.keys.nonces.lowest() < peer_rekey_->lowest_nonce) {
    heir.close(End::replaced);
    if (is_up(other)) hand_over(*other, now);
    return;
  }
  // The peer deletes what lost; should it not, we do.
  if (is_up(other)) other->schedule_.expires_at = now + 2 * host_.limits().linger;
  hand_over(heir, now);
  close_wanted_ = true;
  until_ = never;
}

// `own`: the id that the peer's successor is to have, if it has one by then.
std::optional<NotifyType> IkeSa::refusal_of_rekey(SaId own, Time now) const {
  const bool is_rekeyed = peer_rekey_ && peer_rekey_->successor != own;
  if (state_ != State::established || close_wanted_ || is_rekeyed || !host_.has_room_beside(*this, now))
    return NotifyType::temporary_failure;
  switch (exchange_.kind) {
    case Exchange::Kind::none:
    case Exchange::Kind::ike_sa_init:
    case Exchange::Kind::ike_auth:
    case Exchange::Kind::rekey_ike:
    case Exchange::Kind::liveness:
    case Exchange::Kind::routability:
    case Exchange::Kind::update:
    case Exchange::Kind::intermediate:
      return {};
    case Exchange::Kind::create_child:
    case Exchange::Kind::rekey_child:
    case Exchange::Kind::delete_children:
    case Exchange::Kind::delete_ike:
      return NotifyType::temporary_failure;
  }
  return {};
}

void IkeSa::answer_rekey(const Payloads& payloads, Time now) {
  const auto refuse = [this](NotifyType error) { answer(ExchangeType::create_child_sa, error); };
  if (const auto refusal = refusal_of_rekey(0, now)) return refuse(*refusal);
  if (!payloads.key_exchange) return refuse(NotifyType::invalid_syntax);
  const auto choice =
      choose(*payloads.security_association, connection_->algorithms, payloads.key_exchange->method);
  if (!choice || choice->spi == 0) {
    const auto ours = offer(connection_->algorithms, {});
    refused_ = {fmt::format("the peer's IKE rekey is refused: {}it offered {}; we allow {}",
                            describe_mismatch(*payloads.security_association, ours),
                            describe(*payloads.security_association), describe(ours))};
    complain(Complaint::ike_rekey_refused, refused_.why, now);
    return refuse(NotifyType::no_proposal_chosen);
  }
  if (choice->key_exchange != payloads.key_exchange->method) return refuse_key_exchange(choice->key_exchange);
  PeerCreation creation;
  creation.choice = choice;
  creation.keys = {{{payloads.nonce->begin(), payloads.nonce->end()}, new_nonce(host_)}, choice->additional};
  peer_requests_.is_being_answered = true;
  agree_on_key(choice->key_exchange, payloads.key_exchange->data,
               [this, creation, refuse](Time then, std::optional<KeyAgreement> agreement) mutable {
                 if (!agreement) return refuse(NotifyType::temporary_failure);
                 if (!agreement->secret) return refuse(NotifyType::invalid_syntax);
                 if (const auto refusal = refusal_of_rekey(0, then)) return refuse(*refusal);
                 creation.keys.shared.push_back(*std::move(agreement->secret));
                 finish_answer_rekey(creation, agreement->value, then);
               });
}

void IkeSa::finish_answer_rekey(PeerCreation& creation, Bytes value, Time now) {
  creation.ike_spi = host_.new_ike_spi();
  creation.heir = host_.new_sa_id();
  peer_rekey_ = PeerRekey{creation.heir, creation.keys.nonces.lowest()};
  const auto spi = bytes_of(creation.ike_spi);
  PayloadWriter reply;
  reply.add(ike::answer(*creation.choice, spi))
      .add_nonce(creation.keys.nonces.responder)
      .add(KeyExchange{creation.choice->key_exchange, value});
  add_crash_token(reply, {creation.choice->spi, creation.ike_spi}, creation.ike_spi);
  if (creation.keys.are_complete())
    make_heir(creation, now);
  else
    await_followup(creation, reply, now);
  answer(ExchangeType::create_child_sa, reply);
}

// The children go there at once, unless we rekey as well.
void IkeSa::make_heir(const PeerCreation& creation, Time now) {
  auto& heir = make_successor(creation.heir, *creation.choice, {creation.choice->spi, creation.ike_spi},
                              false, creation.keys, now);
  if (exchange_.kind == Exchange::Kind::rekey_ike)
    heir.predecessor_ = id_;
  else
    hand_over(heir, now);
}

IkeSa& IkeSa::make_successor(SaId id, const IkeChoice& choice, const Spis& spis, bool is_initiator,
                             const KeyExchanges& keys, Time now) {
  auto made =
      std::make_unique<IkeSa>(host_, Origin{id, is_initiator, spis, local_, remote_, connection_}, now);
  made->lineage_ = lineage_;
  made->peer_identity_ = peer_identity_;
  made->choice_ = choice;
  made->peer_ = peer_;
  made->nat_ = nat_;
  made->encapsulated_ = encapsulated_;
  made->mobility_.agreed = mobility_.agreed;
  const auto seed = next_seed(choice_->prf, keys_.d, keys.shared, keys.nonces.view());
  const auto& suite = crypto::suite(choice.suite);
  made->keys_ = derive_keys(choice.prf, seed, keys.nonces.view(), spis, suite);
  made->channel_.emplace(spis, is_initiator, suite, made->keys_);
  made->become_established(now);
  made->schedule_.reauthenticate_at = schedule_.reauthenticate_at;  // a rekey proves nothing anew
  made->schedule_.proof_until = schedule_.proof_until;
  made->replaces_ = std::exchange(replaces_, 0);
  return host_.adopt(std::move(made));
}

// From here on the heir is the one to talk on.
void IkeSa::hand_over(IkeSa& heir, Time now) {
  drop_creation(now);
  for (const auto& child : children_) host_.own_child(child, heir);
  std::ranges::move(children_, std::back_inserter(heir.children_));
  std::ranges::move(wanted_, std::back_inserter(heir.wanted_));
  std::ranges::move(orphans_, std::back_inserter(heir.orphans_));
  children_.clear();
  wanted_.clear();
  orphans_.clear();
  heir.child_failures_.take_over(child_failures_);
  heir.invalid_spis_.merge(invalid_spis_);
  heir.after_report_ = std::exchange(after_report_, {});
  heir.predecessor_ = 0;
  heir.assigned_ = std::exchange(assigned_, {});
  heir.given_ = std::exchange(given_, {});
  // What is under way of these may end with this one, unanswered.
  heir.mobility_.peer_unproven |=
      std::exchange(mobility_.peer_unproven, false) || exchange_.kind == Exchange::Kind::routability;
  heir.mobility_.update_due |=
      std::exchange(mobility_.update_due, false) || exchange_.kind == Exchange::Kind::update;
  successor_ = heir.id_;
  if (close_wanted_) heir.close(end_);
  close_wanted_ = false;
  state_ = State::replaced;
  end_ = End::replaced;
  // The peer is to delete this one; if it does not it goes anyway.
  until_ = now + host_.limits().linger * 2;
}

// The peer uses this IKE SA, asking or answering, while we do not know yet that ours lost: it knows that, or
// does not know of ours.
void IkeSa::settle_predecessor(Time now) {
  if (predecessor_ == 0) return;
  auto* old = host_.find(std::exchange(predecessor_, 0));
  if (is_up(old)) old->hand_over(*this, now);
}

}  // namespace espgate::ike
