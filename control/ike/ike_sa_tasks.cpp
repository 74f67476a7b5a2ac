// What an IKE SA does next, and when.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

void IkeSa::proceed(Time now) {
  // Nobody has to be told of what nobody has yet.
  const bool is_begun = state_ != State::greeting && !is_half_open();
  if (close_wanted_ && !is_begun) return end(end_, "", now);
  if (!is_idle()) return;
  switch (state_) {
    case State::greeting:
    case State::proving:
    case State::answering:
    case State::keyed:
    case State::gone:
      return;
    case State::replaced:
    case State::closing:
      if (close_wanted_) delete_ike_sa(now);
      return;
    case State::established:
      return start_next_exchange(now);
  }
}

// What ends comes before what goes on, and what goes on before what is new.
void IkeSa::start_next_exchange(Time now) {
  if (close_wanted_) return delete_ike_sa(now);
  if (mobility_.update_due) return tell_address(now);
  if (mobility_.peer_unproven) return check_routability(now);
  if (schedule_.reauthenticate_at <= now) begin_anew_beside(now);
  if (creation_ && creation_->choice) return;  // the peer replaces all of this: nothing is to exclude that
  let_spares_go(now);
  auto unwanted = std::exchange(orphans_, {});
  for (auto& child : children_)
    if (child.delete_wanted) {
      child.state = Child::State::closing;
      unwanted.push_back(child.inbound_spi);
    }
  auto invalid = std::exchange(invalid_spis_, {});
  std::erase_if(invalid, [this](std::uint32_t spi) { return uses(spi); });  // by now
  if (!unwanted.empty() || !invalid.empty()) return delete_children(std::move(unwanted), invalid, now);
  if (schedule_.rekey_at <= now && !creation_) return start_rekey(now);
  for (const auto& child : children_)
    if (child.rekey_at <= now)
      return create_child(child.configuration, child.inbound_spi, child.rekey_failures, now);
  for (auto wanted = wanted_.begin(); wanted != wanted_.end(); ++wanted)
    if (wanted->not_before <= now) {
      const auto chosen = *wanted;
      wanted_.erase(wanted);
      return create_child(chosen.configuration, 0, chosen.failures, now);
    }
  if (token_due_ <= now) return send_crash_token(now);
  if (liveness_.is_doubted || liveness_at() <= now) check_liveness(now);
}

// What there is goes once the new one is complete.
void IkeSa::begin_anew_beside(Time now) {
  schedule_.reauthenticate_at = now + host_.limits().retry_longest;  // unless this one is gone by then
  host_.reauthenticate(*this, now);
}

// RFC 4478: who answered says how long it believes who we are. That can be less from one time to the next.
void IkeSa::note_lifetime_of_proof(const Payloads& payloads, Time now) {
  constexpr std::chrono::seconds least(10);  // or it would have us do nothing else
  const auto* notify = payloads.notify(NotifyType::auth_lifetime);
  if (!lineage_.we_began || notify == nullptr || notify->data.size() != 4) return;
  const std::chrono::seconds told(net::load_be32(notify->data, 0));
  // A tenth earlier at least, so that all is there in time, and not when all others come.
  const auto wait =
      std::chrono::duration_cast<Time>(std::max(told, least) * (0.9 - 0.1 * random_unit(host_)));
  schedule_.reauthenticate_at = std::min(schedule_.reauthenticate_at, now + wait);
}

Time IkeSa::liveness_at() const {
  const auto after = connection_->liveness_after;
  if (after.count() == 0) return never;
  // Packets of the peer's say nothing of the mapping that its IKE messages would need.
  const bool may_be_lost = is_mobile() && nat_.we_are_behind;
  return (may_be_lost ? std::min(liveness_.heard, liveness_.asked) : liveness_.heard) + after;
}

Time IkeSa::keepalive_at() const {
  const auto every = connection_->nat_keepalive;
  return every.count() == 0 || !nat_.we_are_behind || !children_.empty() ? never
                                                                         : liveness_.mapping_kept + every;
}

Time IkeSa::next_task() const {
  if (creation_ && creation_->choice) return std::min(schedule_.reauthenticate_at, creation_->until);
  auto first = std::min({creation_ ? creation_->until : schedule_.rekey_at, schedule_.reauthenticate_at,
                         liveness_at(), token_due_});
  for (const auto& child : children_) first = std::min(first, child.rekey_at);
  for (const auto& wanted : wanted_) first = std::min(first, wanted.not_before);
  return first;
}

Time IkeSa::deadline() const {
  auto first = std::min(request_.deadline(), until_);
  if (state_ != State::established) return first;
  for (const auto& child : children_) first = std::min(first, child.expires_at);
  first = std::min({first, schedule_.expires_at, schedule_.proof_until, keepalive_at()});
  if (creation_) first = std::min(first, creation_->until);
  return is_idle() ? std::min(first, next_task()) : first;
}

void IkeSa::timer(Time now) {
  if (request_.deadline() <= now) {
    if (!request_.try_again(now, random_unit(host_))) return no_answer(now);
    try_other_path();
    send(request_.messages(), local_, remote_);
  }
  if (until_ <= now && state_ != State::gone) {
    request_.give_up();
    return end(state_ == State::replaced ? End::replaced : End::failed,
               is_half_open() ? "the peer did not go on" : "it was not closed in time", now);
  }
  if (creation_ && creation_->until <= now) drop_creation(now);
  for (auto& child : children_)
    if (child.expires_at <= now) {
      if (!child.lost && !is_spare(child))
        log(Level::warning,
            fmt::format("child {} expired before it was replaced", child.configuration->name));
      child.expires_at = never;
      give_up(child, "its lifetime is over", now);
    }
  if (state_ == State::established && keepalive_at() <= now) {
    host_.act(KeepNatMapping{local_, remote_});
    liveness_.mapping_kept = now;
  }
  if (schedule_.expires_at <= now) {
    schedule_.expires_at = never;
    if (state_ == State::established) close_since("its lifetime is over");
  }
  // It was told when (RFC 4478). One that did so in time has deleted this one.
  if (schedule_.proof_until <= now) {
    schedule_.proof_until = never;
    if (state_ != State::established) return;
    log(Level::warning, fmt::format("the peer did not prove again within {} s who it is, though it was told "
                                    "to (reauthenticate-after): its IKE SA is closed",
                                    connection_->reauthenticate_after.count()));
    close_since("the peer did not prove again in time who it is");
  }
}

void IkeSa::close_since(std::string reason) {
  end_ = End::failed;
  reason_ = std::move(reason);
  close_wanted_ = true;
}

void IkeSa::no_answer(Time now) {
  switch (state_) {
    case State::greeting:
      return end(End::failed,
                 refused_.why.empty() ? "no answer at all to IKE_SA_INIT"
                                      : fmt::format("the peer refused IKE_SA_INIT: {}", refused_.why),
                 now);
    case State::proving:
      return end(End::failed, "no answer to IKE_AUTH", now);
    case State::answering:
    case State::keyed:
    case State::established:
    case State::replaced:
    case State::gone:
      return end(End::failed, "the peer does not answer any more", now);
    case State::closing:  // for a reason of its own, if it has one
      return end(End::failed, reason_.empty() ? "the peer does not answer any more" : "", now);
  }
}

void IkeSa::close(End why) {
  if (end_ == End::none) end_ = why;
  close_wanted_ = true;
}

void IkeSa::terminate() {
  if (state_ == State::replaced || state_ == State::gone) return;
  end_ = End::commanded;
  if (state_ != State::closing) close_wanted_ = true;
}

void IkeSa::delete_ike_sa(Time now) {
  close_wanted_ = false;
  if (state_ == State::established) state_ = State::closing;
  exchange_.kind = Exchange::Kind::delete_ike;
  PayloadWriter payloads;
  if (has_failed() && end_ != End::no_room && !peer_identity_)
    payloads.add(Notify{NotifyType::authentication_failed, {}});  // RFC 7296 2.21.2
  send_request(ExchangeType::informational, payloads.add(Delete{ProtocolId::ike, {}}), now);
}

// Of an invalid SPI the peer hears what is wrong, and what to do in any case: a DELETE names the SPIs that
// its sender receives on, or no longer does (RFC 7296 1.4.1).
void IkeSa::delete_children(std::vector<std::uint32_t> spis, const std::set<std::uint32_t>& invalid,
                            Time now) {
  exchange_.kind = Exchange::Kind::delete_children;
  exchange_.deleted = std::move(spis);
  PayloadWriter payloads;
  for (const auto spi : invalid) {
    std::array<std::uint8_t, 4> bytes;
    net::store_be32(bytes, 0, spi);
    payloads.add(Notify{NotifyType::invalid_spi, bytes});
    exchange_.deleted.push_back(spi);
  }
  send_request(ExchangeType::informational, payloads.add(Delete{ProtocolId::esp, exchange_.deleted}), now);
}

void IkeSa::check_liveness(Time now) {
  liveness_.is_doubted = false;
  liveness_.asked = now;
  exchange_.kind = Exchange::Kind::liveness;
  exchange_.there = local_;
  PayloadWriter payloads;
  if (is_mobile() && nat_.peer_knows) add_nat_detection(payloads, local_, remote_);
  send_request(ExchangeType::informational, payloads, now);
}

}  // namespace espgate::ike
