// CREATE_CHILD_SA for a child, new or in place of another, as initiator (RFC 7296 1.3.1, 1.3.3).
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/child_match.hpp"
#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

constexpr unsigned most_attempts = 3;

}  // namespace

void IkeSa::create_child(const ChildHandle& configuration, std::uint32_t rekeyed_spi, unsigned failures,
                         Time now) {
  exchange_.kind = rekeyed_spi == 0 ? Exchange::Kind::create_child : Exchange::Kind::rekey_child;
  exchange_.child = configuration;
  exchange_.rekeyed_spi = rekeyed_spi;
  exchange_.failures = failures;
  offer_selectors(find_child(rekeyed_spi));
  const auto spi = host_.new_child_spi(*configuration);
  if (!spi) return create_failed(Failing::no_room, no_spi, now);
  exchange_.inbound_spi = *spi;
  exchange_.nonce = new_nonce(host_);
  const auto& methods = configuration->algorithms.key_exchanges;
  if (methods.empty()) return send_create_child(now);
  exchange_.method = methods.front();
  make_half(now);
}

// Of the exchange's method, for a child or an IKE SA.
void IkeSa::make_half(Time now) {
  const auto* method = find_key_exchange(exchange_.method);
  if (method == nullptr) {
    return creation_failed(Failing::mismatch, "its key exchange is not one of ours", now);
  }
  work<std::shared_ptr<KeyExchangeHalf>>(
      [method] { return std::make_shared<KeyExchangeHalf>(*method); },
      [this](Time then, std::optional<std::shared_ptr<KeyExchangeHalf>> half) {
        if (!half) return creation_failed(Failing::no_room, too_much_work, then);
        exchange_.half = std::move(*half);
        exchange_.kind == Exchange::Kind::rekey_ike ? send_rekey(then) : send_create_child(then);
      });
}

void IkeSa::send_create_child(Time now) {
  const bool is_rekey = exchange_.kind == Exchange::Kind::rekey_child;
  const auto* rekeyed = find_child(exchange_.rekeyed_spi);
  // Meanwhile the peer may have deleted or replaced it, or the whole IKE SA.
  if (state_ != State::established || exchange_.unwanted ||
      (is_rekey && (rekeyed == nullptr || rekeyed->delete_wanted || rekeyed->peer_rekey))) {
    release_spi(exchange_.inbound_spi);
    return exchange_over();
  }
  std::array<std::uint8_t, 4> spi;
  std::array<std::uint8_t, 4> old_spi;
  net::store_be32(spi, 0, exchange_.inbound_spi);
  net::store_be32(old_spi, 0, exchange_.rekeyed_spi);
  PayloadWriter payloads;
  if (is_rekey) payloads.add(Notify{NotifyType::rekey_sa, {}, ProtocolId::esp, old_spi});
  if (exchange_.child->transport) payloads.add(Notify{NotifyType::use_transport_mode, {}});
  payloads.add(offer(exchange_.child->algorithms, spi)).add_nonce(exchange_.nonce);
  if (exchange_.half) payloads.add(KeyExchange{exchange_.method, exchange_.half->value()});
  payloads.add_ts_initiator(exchange_.local).add_ts_responder(exchange_.remote);
  send_request(ExchangeType::create_child_sa, payloads, now);
}

void IkeSa::on_create_answer(const Inner& inner, Time now) {
  Payloads payloads;
  if (const auto error = inner.decode(payloads))
    return create_failed(Failing::mismatch, fmt::format("the answer is bad: {}", error->what), now);
  if (!payloads.security_association) {
    const auto* error = payloads.error();
    return error == nullptr ? create_failed(Failing::mismatch, "the answer says nothing", now)
                            : on_create_refused(error->type, payloads, now);
  }
  auto terms = accept_terms(payloads, true);
  const auto method = terms ? terms->choice.key_exchange : std::uint16_t{0};
  const bool has_key = payloads.key_exchange && payloads.key_exchange->method == exchange_.method;
  if (!terms || !payloads.nonce || (method != 0 && (!has_key || method != exchange_.method)) ||
      !begin_key_exchanges(payloads, terms->choice.additional)) {
    orphans_.push_back(exchange_.inbound_spi);
    return create_failed(Failing::mismatch, why_no_fit(payloads, *exchange_.child, true), now);
  }
  exchange_.terms = *std::move(terms);
  if (method == 0) return finish_create(now);
  take_key(payloads.key_exchange->data, now);
}

void IkeSa::on_create_refused(NotifyType error, const Payloads& payloads, Time now) {
  if (error == NotifyType::invalid_ke_payload &&
      try_other_method(payloads, exchange_.child->algorithms.key_exchanges, now))
    return;
  const auto rekeyed = exchange_.rekeyed_spi;
  if (error == NotifyType::child_sa_not_found && rekeyed != 0) {
    // The peer has it no more, so it is of no use; if the peer made a successor, that one goes on.
    const auto* child = find_child(rekeyed);
    const bool gone_already = child == nullptr;
    release_spi(exchange_.inbound_spi);
    exchange_over();
    if (gone_already) return;
    child_failures_.forget(child->configuration->name);
    remove_child(rekeyed, "the peer does not know it", true, now);
    return;
  }
  if (error == NotifyType::temporary_failure)
    return create_failed(Failing::passing, "the peer is busy with something that excludes it", now);
  create_failed(failing_of(error), why_refused(error, *exchange_.child, true), now);
}

// RFC 7296 1.3: the same once more with the method that the peer wants, if that is one of ours.
bool IkeSa::try_other_method(const Payloads& payloads, const std::vector<std::uint16_t>& allowed, Time now) {
  const auto* notify = payloads.notify(NotifyType::invalid_ke_payload);
  if (notify == nullptr || notify->data.size() != 2) return false;
  const auto wanted = net::load_be16(notify->data, 0);
  if (std::ranges::find(allowed, wanted) == allowed.end() || wanted == exchange_.method) return false;
  if (++exchange_.attempts > most_attempts) return false;
  exchange_.method = wanted;
  exchange_.half.reset();
  make_half(now);
  return true;
}

void IkeSa::create_failed(Failing kind, const std::string& why, Time now) {
  const auto failed = std::exchange(exchange_, {});
  auto spi = failed.inbound_spi;
  release_spi(spi);
  auto* rekeyed = find_child(failed.rekeyed_spi);
  // Of a child that is gone or replaced nobody needs to hear.
  if (failed.rekeyed_spi != 0 && (rekeyed == nullptr || rekeyed->peer_rekey)) return;
  const auto& name = failed.child->name;
  log(Level::warning,
      fmt::format("child {} is not {}: {}", name, failed.rekeyed_spi == 0 ? "made" : "rekeyed", why));
  if (!failed.unwanted && kind != Failing::passing) note_child_failure(name, why, kind);
  if (rekeyed != nullptr) {
    rekeyed->rekey_at = now + retry_wait(host_, rekeyed->rekey_failures++);
  } else if (!has_child_of(*failed.child) && !failed.unwanted) {
    wanted_.push_back({failed.child, now + retry_wait(host_, failed.failures), failed.failures + 1});
  }
}

// The peer has it. Who made the exchange with the lowest nonce deletes what it made, and the other deletes
// what was replaced.
void IkeSa::finish_create(Time now) {
  const auto& gone = exchange_.gone;
  if (std::ranges::find(gone, exchange_.terms->choice.spi) != gone.end())
    return create_failed(Failing::passing, "the peer has deleted it already", now);
  const auto made = std::exchange(exchange_, {});
  if (state_ != State::established && state_ != State::closing) {
    auto spi = made.inbound_spi;
    return release_spi(spi);
  }
  const auto inbound_spi = made.inbound_spi;
  auto& added = add_child(*made.terms, inbound_spi, made.keys, true, now);
  if (made.rekeyed_spi == 0) added.failures = made.failures;
  if (made.unwanted) {
    added.delete_wanted = true;
    return;
  }
  if (made.rekeyed_spi == 0) return use_new_child(inbound_spi, now);
  auto* old = find_child(made.rekeyed_spi);
  auto& child = *find_child(inbound_spi);
  const auto& rival = old != nullptr ? old->peer_rekey : made.rival;
  auto* other = rival ? find_child(static_cast<std::uint32_t>(rival->successor)) : nullptr;
  const bool other_comes = rival && creation_ && creation_->inbound_spi == rival->successor;
  if ((other != nullptr || other_comes) && made.keys.nonces.lowest() < rival->lowest_nonce) {
    if (old != nullptr) old->rekey_at = never;
    return lose(child, now);
  }
  if (other != nullptr) lose(*other, now);
  use_outbound(child);
  if (old == nullptr) return;
  old->replaced = true;
  old->rekey_at = never;
  old->delete_wanted = true;
}

}  // namespace espgate::ike
