// How IKE SAs end: when the connection is tried again, and what is known of why it is down.
#include <fmt/format.h>

#include "control/ike/core.hpp"

namespace espgate::ike {
namespace {

// The initiator does not believe the responder's AUTH, and has to tell it, whether that is answered or not.
bool is_refusing(const IkeSa& sa) {
  const auto state = sa.state() == IkeSa::State::gone ? sa.ended_in() : sa.state();
  return sa.has_failed() && state == IkeSa::State::closing && !sa.peer_identity();
}

// One side does not believe the other's AUTH: then it has come no farther than IKE_AUTH, though the
// responder's was up until it heard of it.
bool is_unproved(const IkeSa& sa) {
  return sa.ended() == IkeSa::End::disbelieved || is_refusing(sa);
}

}  // namespace

void IkeCore::ended(const IkeSa& sa, Time now) {
  const auto name = sa.connection()->name;
  if (const auto ids = by_connection_.find(name); ids != by_connection_.end()) {
    ids->second.erase(sa.id());
    if (ids->second.empty()) by_connection_.erase(ids);
  }
  hand_on(sa, now);
  if (sa.ended() == IkeSa::End::replaced) return;
  log_end(sa, now);
  const auto found = records_.find(name);
  if (found == records_.end() || found->second.connection != sa.connection()) return;
  auto& record = found->second;
  if (!sa.is_initiator() && !sa.peer_identity()) return note_stranger(record, sa, now);
  if (!has_living(name)) went_down(record, sa, now);
}

void IkeCore::went_down(Record& record, const IkeSa& sa, Time now) {
  constexpr Time long_enough = std::chrono::minutes(1);  // one that ends sooner each time is tried ever less
  if (sa.has_failed()) {
    auto failure = failure_of(sa, now);
    // Where the peer has proved who it is, what was up has ended.
    if (sa.peer_identity())
      record.last_failure = std::move(failure);
    else
      fail(record, std::move(failure), sa.remote());
  }
  if (record.retry_at != never) return;
  if (record.up_since != never && now - record.up_since >= long_enough) record.failures = 0;
  record.in_vain = record.up_since != never ? 0 : record.in_vain + 1;
  record.up_since = never;
  if (sa.ended() == IkeSa::End::commanded) {
    // What was asked for since then needs another.
    if (!record.demanded.empty()) try_again(record, now);
  } else if (record.connection->start == StartAction::always) {
    try_again(record, now + retry_wait(*this, record.failures++));
  } else {
    record.not_before = now + retry_wait(*this, record.failures++);
    record.demanded.clear();
  }
}

IkeCore::Failure IkeCore::failure_of(const IkeSa& sa, Time when) {
  const bool is_proof = is_unproved(sa);
  return {sa.reason(), is_proof ? IkeSa::State::proving : sa.ended_in(), when,
          !is_proof && sa.our_request().tally().is_given_up, sa.ended() == IkeSa::End::no_room};
}

// While it is up, what strangers fail in is not why it is not. One that was heard under the keys of
// IKE_SA_INIT is where it seems to be, so its reason is as good as ours; else anybody may have begun it.
void IkeCore::note_stranger(Record& record, const IkeSa& sa, Time now) {
  if (!sa.has_failed()) return;
  const auto& connection = *sa.connection();
  const bool was_heard = sa.last_heard() != Time::min();
  Failure failure{sa.reason(), sa.ended_in(), now, !was_heard && sa.ended_in() == IkeSa::State::keyed,
                  sa.ended() == IkeSa::End::no_room};
  // Of peers at any address each is for itself.
  if (!connection.remote && was_heard) act(AttemptFailed{connection.name, "", sa.reason(), sa.remote()});
  if (reach(connection.name) == Reach::established) return;
  // That nothing more came tells less than what came.
  if (!was_heard && failure.is_unanswered && has_hearsay(record, now)) return;
  if (was_heard)
    fail(record, std::move(failure), sa.remote());
  else
    note_hearsay(record, std::move(failure), sa.remote());
}

void IkeCore::fail(Record& record, Failure failure, const Endpoint& remote) {
  const auto& connection = *record.connection;
  if (connection.remote) act(AttemptFailed{connection.name, "", failure.reason, remote});
  record.last_failure = std::move(failure);
}

// It is news where nothing else is known, as we do not try ourselves.
void IkeCore::note_hearsay(Record& record, Failure failure, const Endpoint& remote) {
  const auto& connection = *record.connection;
  if (connection.remote && record.retry_at == never && !has_living(connection.name))
    act(AttemptFailed{connection.name, "", failure.reason, remote});
  record.hearsay = std::move(failure);
}

// One that was up ends with its children, which whoever runs the core tells of.
void IkeCore::log_end(const IkeSa& sa, Time now) {
  if (sa.reason().empty()) return;
  const auto& name = sa.connection()->name;
  const auto text =
      fmt::format("connection {}, peer {}: IKE SA is gone: {}", name, to_string(sa.remote()), sa.reason());
  const bool is_told = sa.ended_in() == IkeSa::State::greeting && !sa.refusal().empty();  // when it came
  if (sa.peer_identity() || is_told)
    act(LogLine{Level::debug, text, name});
  else if (sa.is_initiator())
    act(LogLine{Level::warning, text, name});
  else
    log_stranger(text, name, now);
}

// A peer that tries as we do comes again within the longest wait, and one of its attempts may be lost.
bool IkeCore::has_hearsay(const Record& record, Time now) const {
  return !record.hearsay.reason.empty() && now < record.hearsay.when + 2 * limits_.retry_longest;
}

std::string IkeCore::with_hearsay(const Record& record, const std::string& reason, IkeSa::State state,
                                  Time now) const {
  if (state != IkeSa::State::greeting || !has_hearsay(record, now)) return reason;
  return fmt::format("{}; of what came from its address: {}", reason, record.hearsay.reason);
}

IkeCore::Failure IkeCore::failure(const std::string& connection, Time now) const {
  const auto found = records_.find(connection);
  if (found == records_.end()) return {};
  const auto& record = found->second;
  // What is refused has failed, though it ends only once the peer was told. With peers at any address, who
  // may be very many, we begin none.
  if (const auto ids = by_connection_.find(connection);
      record.connection->remote && ids != by_connection_.end())
    for (const auto id : ids->second)
      if (const auto& sa = *ike_sa(id); is_refusing(sa) && sa.connection() == record.connection)
        return failure_of(sa, sa.last_heard());
  if (record.last_failure.reason.empty()) return has_hearsay(record, now) ? record.hearsay : Failure{};
  auto failure = record.last_failure;
  failure.reason = with_hearsay(record, failure.reason, failure.state, now);
  return failure;
}

std::string IkeCore::refusal(const IkeSa& sa, Time now) const {
  const auto found = records_.find(sa.connection()->name);
  if (found == records_.end() || sa.refusal().empty()) return sa.refusal();
  return with_hearsay(found->second, sa.refusal(), sa.state(), now);
}

}  // namespace espgate::ike
