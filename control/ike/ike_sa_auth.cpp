// IKE_AUTH (RFC 7296 1.2, 2.15): who the peer is, and the first child. Until the peer's AUTH is verified
// nothing of what came with it is used.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/child_match.hpp"
#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

struct Judgement {
  Expected<void> verdict;
  Expected<Proof> ours;
};

Proof proof_of(const Payloads& payloads) {
  Proof proof{payloads.authentication->method,
              {payloads.authentication->data.begin(), payloads.authentication->data.end()},
              {},
              {}};
  for (const auto& certificate : payloads.certificates)
    proof.certificates.push_back({certificate.encoding, {certificate.data.begin(), certificate.data.end()}});
  return proof;
}

void add_proof(PayloadWriter& payloads, const Proof& proof) {
  for (const auto& certificate : proof.certificates)
    payloads.add(Certificate{certificate.encoding, certificate.data});
  payloads.add(Authentication{proof.method, proof.data});
}

}  // namespace

// What the initiator, or the responder, signs.
Secret IkeSa::octets_of(bool initiators, const Identity& identity, const SaKeys& keys) const {
  const bool ours = initiators == is_initiator_;
  return signed_octets(choice_->prf, ours ? our_first_message_ : peers_first_message_,
                       initiators ? nonces_.responder : nonces_.initiator,
                       initiators ? keys.proof_initiator : keys.proof_responder, identity.body(),
                       intermediate_proof());
}

void IkeSa::make_proof(Time now) {
  exchange_.kind = Exchange::Kind::ike_auth;
  if (connection_->childless && !peer_.childless)
    return end(End::failed, "the peer makes no IKE SA without a child", now);
  const auto uses_ppk = plan_ppk(connection_->ppk_use, peer_.has_ppk);
  if (!uses_ppk) return end(End::failed, uses_ppk.error().text(), now);
  std::optional<Secret> without_ppk;
  if (*uses_ppk) {
    mixed_ = keys_;
    mix_ppk(choice_->prf, connection_->ppks.front().key, *mixed_);
    if (connection_->ppk_use == PpkUse::optional) without_ppk = octets_of(true, connection_->identity, keys_);
  }
  work<Expected<Proof>>(
      [by = connection_->authenticator, prf = choice_->prf,
       octets = octets_of(true, connection_->identity, mixed_ ? *mixed_ : keys_), without_ppk,
       wishes = peer_.wishes]() -> Expected<Proof> {
        auto proof = by->prove(prf, octets, wishes);
        if (!proof || !without_ppk) return proof;
        auto plain = by->prove(prf, *without_ppk, wishes);
        if (!plain) return plain;
        proof->without_ppk = std::move(plain->data);
        return proof;
      },
      [this](Time then, std::optional<Expected<Proof>> proof) {
        if (!proof) return end(End::no_room, too_much_work, then);
        if (!*proof) return end(End::failed, proof->error().text(), then);
        send_proof(**proof, then);
      });
}

void IkeSa::send_proof(const Proof& proof, Time now) {
  PayloadWriter payloads;
  payloads.add_id_initiator(connection_->identity.payload());
  if (connection_->asked_peer) payloads.add_id_responder(connection_->asked_peer->payload());
  if (host_.is_first_contact(*this)) payloads.add(Notify{NotifyType::initial_contact, {}});
  if (const auto authorities = connection_->authenticator->authorities(); !authorities.empty())
    payloads.add(CertificateRequest{CertificateEncoding::x509_signature, authorities});
  add_proof(payloads, proof);
  if (mixed_)
    payloads.add(Notify{NotifyType::ppk_identity, write_ppk_identity(connection_->ppks.front().id)});
  if (!proof.without_ppk.empty()) payloads.add(Notify{NotifyType::no_ppk_auth, proof.without_ppk});
  add_crash_token(payloads, spis_, spis_.initiator);
  if (!connection_->other_locals.empty()) payloads.add(Notify{NotifyType::mobike_supported, {}});
  if (connection_->request_addresses) request_addresses(payloads);
  if (!connection_->childless && !wanted_.empty()) {
    const auto spi = host_.new_child_spi(*wanted_.front().configuration);
    if (!spi) return end(End::no_room, no_spi, now);
    exchange_.child = wanted_.front().configuration;
    exchange_.inbound_spi = *spi;
    wanted_.erase(wanted_.begin());
    offer_selectors(nullptr);
    std::array<std::uint8_t, 4> bytes;
    net::store_be32(bytes, 0, *spi);
    auto algorithms = exchange_.child->algorithms;
    algorithms.clear_key_exchanges();
    if (exchange_.child->transport) payloads.add(Notify{NotifyType::use_transport_mode, {}});
    payloads.add(offer(algorithms, bytes))
        .add_ts_initiator(exchange_.local)
        .add_ts_responder(exchange_.remote);
  }
  send_request(ExchangeType::ike_auth, payloads, now);
}

void IkeSa::on_proof_answer(const Inner& inner, Time now) {
  Payloads payloads;
  if (const auto error = inner.decode(payloads))
    return end(End::failed, fmt::format("the answer to IKE_AUTH is bad: {}", error->what), now);
  if (!payloads.authentication || !payloads.id_responder) {
    const auto* error = payloads.error();
    const bool refused = error != nullptr && error->type == NotifyType::authentication_failed;
    return end(End::failed,
               refused ? why_disbelieved(*connection_)
                       : fmt::format("the peer refused IKE_AUTH with {}",
                                     error == nullptr ? "no reason" : describe(error->type)),
               now);
  }
  const auto named = identity_of(*payloads.id_responder);
  if (!named) return finish_proof(inner, named.error(), now);
  const auto& peer = *named;
  if (!connection_->authenticator->accepts(peer))
    return finish_proof(inner,
                        Error{fmt::format("the peer is {}, and the configuration expects {}", to_string(peer),
                                          connection_->peer),
                              ""},
                        now);
  if (const auto settled = settle_ppk(payloads); !settled) return finish_proof(inner, settled, now);
  work<Expected<void>>(
      [by = connection_->authenticator, prf = choice_->prf, octets = octets_of(false, peer, keys_), peer,
       proof = proof_of(payloads)] { return by->verify(prf, octets, peer, proof); },
      [this, inner](Time then, std::optional<Expected<void>> verdict) {
        if (!verdict && end_ == End::none) end_ = End::no_room;
        finish_proof(inner, verdict ? *verdict : Error{too_much_work, ""}, then);
      });
}

// As initiator: from here on the keys have the PPK in them, if the peer has it.
Expected<void> IkeSa::settle_ppk(const Payloads& answer) {
  const auto mixed = std::exchange(mixed_, {});
  if (!mixed) return {};
  const auto confirmed = ppk_confirmed(connection_->ppk_use, answer);
  if (!confirmed) return confirmed.error();
  if (*confirmed) keys_ = *mixed;
  return {};
}

void IkeSa::finish_proof(const Inner& inner, const Expected<void>& verdict, Time now) {
  if (!verdict) {
    // It believes that all is well, so it has to be told (RFC 7296 2.21.2).
    reason_ = verdict.error().text();
    if (end_ == End::none) end_ = End::failed;
    release_spi(exchange_.inbound_spi);
    exchange_over();
    state_ = State::closing;
    return delete_ike_sa(now);
  }
  Payloads payloads;
  inner.decode(payloads);
  peer_identity_ = Identity::of(*payloads.id_responder);
  note_crash_token(payloads);
  mobility_.agreed = !connection_->other_locals.empty() && payloads.notify(NotifyType::mobike_supported);
  become_established(now);
  note_lifetime_of_proof(payloads, now);
  host_.established(*this, now);
  take_addresses(payloads);
  accept_first_child(payloads, now);
  exchange_over();
}

void IkeSa::accept_first_child(const Payloads& payloads, Time now) {
  const auto configuration = exchange_.child;
  if (!configuration) return;
  const auto terms = accept_terms(payloads, false);
  if (terms) {
    const auto spi = std::exchange(exchange_.inbound_spi, 0);
    auto& child = add_child(*terms, spi, {nonces_}, true, now);
    child.delete_wanted = exchange_.unwanted;
    if (!child.delete_wanted) use_unless_redundant(child);
    return;
  }
  const auto* error = payloads.error();
  const auto why = error == nullptr ? why_no_fit(payloads, *configuration, false)
                                    : why_refused(error->type, *configuration, false);
  log(Level::warning, fmt::format("child {} is not made: {}", configuration->name, why));
  // One that the peer believes to have is deleted.
  if (error == nullptr && payloads.security_association) orphans_.push_back(exchange_.inbound_spi);
  release_spi(exchange_.inbound_spi);
  if (exchange_.unwanted) return;
  note_child_failure(configuration->name, why,
                     error == nullptr ? Failing::mismatch : failing_of(error->type));
  want_again(configuration, 1, now);
}

void IkeSa::become_established(Time now) {
  state_ = State::established;
  if (host_.wants_steps())
    log(Level::debug, fmt::format("IKE SA 0x{:016x} 0x{:016x} is up: the peer is {}", spis_.initiator,
                                  spis_.responder, to_string(*peer_identity_)));
  until_ = never;
  our_first_message_ = {};
  peers_first_message_ = {};
  liveness_ = {now, now, now};
  schedule_.made_at = now;
  const auto jittered = [&](std::chrono::seconds after) {
    if (after.count() == 0) return never;
    return now + std::chrono::duration_cast<Time>(after * (1 - 0.1 * random_unit(host_)));
  };
  schedule_.rekey_at = jittered(connection_->rekey_after);
  const auto reauthenticate_after = connection_->reauthenticate_after;
  if (lineage_.we_began)
    schedule_.reauthenticate_at = jittered(reauthenticate_after);
  else if (reauthenticate_after.count() != 0)
    schedule_.proof_until = now + reauthenticate_after + host_.limits().proof_grace;
  schedule_.expires_at = connection_->expires_after.count() == 0 ? never : now + connection_->expires_after;
}

// Which of the connections that agree with the proposals has this peer, and is who the peer wants.
ConnectionHandle IkeSa::connection_for(const Identity& peer,
                                       const std::optional<Identification>& wanted) const {
  for (const auto& candidate : host_.candidates(local_, remote_)) {
    const auto has = [](const auto& list, const auto& value) {
      return std::ranges::find(list, value) != list.end();
    };
    const auto& allowed = candidate->algorithms;
    if (candidate->authenticator->accepts(peer) && has(allowed.suites, choice_->suite) &&
        has(allowed.prfs, choice_->prf) && has(allowed.key_exchanges, choice_->key_exchange) &&
        std::ranges::equal(allowed.additional, choice_->additional, has) &&
        (!wanted || same_identity(candidate->identity, Identity::of(*wanted))))
      return candidate;
  }
  return nullptr;
}

std::string IkeSa::why_no_connection(const Identity& peer,
                                     const std::optional<Identification>& wanted) const {
  std::string expected;
  for (const auto& candidate : host_.candidates(local_, remote_))
    expected += fmt::format("; connection {} expects {} and is {}", candidate->name, candidate->peer,
                            to_string(candidate->identity));
  return fmt::format("no connection is for this peer: it is {}{}{}", to_string(peer),
                     wanted ? fmt::format(" and asks for {}", to_string(Identity::of(*wanted))) : "",
                     expected);
}

void IkeSa::on_proof(const Inner& inner, Time now) {
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  if (!payloads.authentication || !payloads.id_initiator) {
    answer(ExchangeType::ike_auth, NotifyType::authentication_failed);
    return end(End::failed, "IKE_AUTH without an identity or AUTH; EAP is not supported", now);
  }
  const auto named = identity_of(*payloads.id_initiator);
  const auto asked = identity_of(payloads.id_responder ? *payloads.id_responder : *payloads.id_initiator);
  if (!named || !asked) {
    answer(ExchangeType::ike_auth, NotifyType::authentication_failed);
    return end(End::failed, (named ? asked : named).error().text(), now);
  }
  const auto& peer = *named;
  const auto connection = connection_for(peer, payloads.id_responder);
  if (!connection) {
    answer(ExchangeType::ike_auth, NotifyType::authentication_failed);
    return end(End::failed, why_no_connection(peer, payloads.id_responder), now);
  }
  // A copy of it from elsewhere is not the peer's: its own will come. Only a NAT may give it another address.
  const bool may_move = nat_.peer_is_behind && connection->follow_peer;
  if (answer_from_.address != local_.address || (answer_to_.address != remote_.address && !may_move)) return;
  connection_ = connection;
  auto proof = proof_of(payloads);
  auto keys = keys_;
  const auto ppk = choose_ppk(payloads);
  if (!ppk) {
    answer(ExchangeType::ike_auth, NotifyType::authentication_failed);
    return end(End::failed, ppk.error().text(), now);
  }
  if (ppk->key != nullptr) mix_ppk(choice_->prf, ppk->key->key, keys);
  if (ppk->auth_without) proof.data.assign(ppk->auth_without->begin(), ppk->auth_without->end());
  peer_requests_.is_being_answered = true;
  work<Judgement>(
      [by = connection_->authenticator, prf = choice_->prf, octets = octets_of(true, peer, keys), peer, proof,
       own = octets_of(false, connection_->identity, keys), wishes = peer_.wishes] {
        auto verdict = by->verify(prf, octets, peer, proof);
        if (!verdict) return Judgement{verdict, verdict.error()};
        return Judgement{{}, by->prove(prf, own, wishes)};
      },
      [this, inner, keys, uses_ppk = ppk->key != nullptr](Time then, std::optional<Judgement> judgement) {
        // Nothing was changed: the peer asks again.
        if (!judgement) {
          peer_requests_.is_being_answered = false;
          return;
        }
        keys_ = keys;
        finish_answer_to_proof(inner, judgement->verdict, judgement->ours, uses_ppk, then);
      });
}

// As responder, of the connection that the peer has turned out to be of.
Expected<PpkAnswer> IkeSa::choose_ppk(const Payloads& request) const {
  const auto planned = plan_ppk(connection_->ppk_use, peer_.has_ppk);
  if (!planned) return planned.error();
  return find_ppk(connection_->ppk_use, connection_->ppks, request);
}

void IkeSa::finish_answer_to_proof(const Inner& inner, const Expected<void>& verdict,
                                   const Expected<Proof>& ours, bool uses_ppk, Time now) {
  if (!verdict || !ours) {
    answer(ExchangeType::ike_auth, NotifyType::authentication_failed);
    return end(End::failed, (verdict ? ours.error() : verdict.error()).text(), now);
  }
  // The ports may be others now, 4500 where there is a NAT.
  local_ = answer_from_;
  remote_ = answer_to_;
  Payloads payloads;
  inner.decode(payloads);
  peer_identity_ = Identity::of(*payloads.id_initiator);
  if (payloads.notify(NotifyType::initial_contact)) host_.initial_contact(*this, now);
  note_crash_token(payloads);
  become_established(now);
  host_.established(*this, now);
  PayloadWriter reply;
  reply.add_id_responder(connection_->identity.payload());
  add_proof(reply, *ours);
  give_addresses(payloads, reply);
  mobility_.agreed = connection_->follow_peer && payloads.notify(NotifyType::mobike_supported);
  if (mobility_.agreed)
    add_other_addresses(reply.add(Notify{NotifyType::mobike_supported, {}}), *connection_, local_.address);
  if (uses_ppk) reply.add(Notify{NotifyType::ppk_identity, {}});
  add_crash_token(reply, spis_, spis_.responder);
  std::array<std::uint8_t, 4> lifetime;
  net::store_be32(lifetime, 0, static_cast<std::uint32_t>(connection_->reauthenticate_after.count()));
  if (connection_->reauthenticate_after.count() != 0) reply.add(Notify{NotifyType::auth_lifetime, lifetime});
  if (payloads.security_association) add_first_child(payloads, reply, now);
  answer(ExchangeType::ike_auth, reply);
}

// The IKE SA is good whatever becomes of it (RFC 7296 1.2).
void IkeSa::add_first_child(const Payloads& payloads, PayloadWriter& reply, Time now) {
  if (const auto refusal = refusal_without_address(payloads, now)) {
    reply.add(Notify{*refusal, {}});
    return;
  }
  const auto agreed = agree(payloads, nullptr, false, now);
  if (const auto* refusal = std::get_if<NotifyType>(&agreed)) {
    refuse_child(*refusal, describe_refusal(*refusal, payloads, *connection_, false), payloads, nullptr, now);
    reply.add(Notify{*refusal, {}});
    return;
  }
  const auto& terms = std::get<ChildTerms>(agreed);
  const auto spi = host_.new_child_spi(*terms.configuration);
  if (!spi) {
    log(Level::warning, fmt::format("the peer's first child is refused: {}", no_spi));
    note_child_failure(terms.configuration->name, no_spi, Failing::no_room);
    reply.add(Notify{NotifyType::no_additional_sas, {}});
    return;
  }
  use_unless_redundant(add_child(terms, *spi, {nonces_}, false, now));
  std::array<std::uint8_t, 4> bytes;
  net::store_be32(bytes, 0, *spi);
  if (terms.transport) reply.add(Notify{NotifyType::use_transport_mode, {}});
  reply.add(ike::answer(terms.choice, bytes))
      .add_ts_initiator(terms.ts_initiator)
      .add_ts_responder(terms.ts_responder);
}

}  // namespace espgate::ike
