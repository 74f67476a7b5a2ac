// Why connections are not up: what came of attempts, and of what was up.
#include <fmt/format.h>

#include "control/ike/core.hpp"

namespace espgate::ike {

void IkeCore::went_down(Record& record, const IkeSa& sa, Time now) {
  constexpr Time long_enough = std::chrono::minutes(1);  // one that ends sooner each time is tried ever less
  const bool is_strangers = !sa.is_initiator() && !sa.peer_identity();
  const bool is_trying = record.retry_at != never;
  if (sa.has_failed() && !(is_strangers && is_trying)) {
    Failure failure{sa.reason(), sa.ended_in(), now, sa.our_request().tally().is_given_up,
                    sa.ended() == IkeSa::End::no_room};
    // Where the peer has proved who it is, what was up has ended.
    if (!sa.peer_identity() && sa.connection()->remote)
      fail(record, std::move(failure), sa.remote());
    else
      record.last_failure = std::move(failure);
  }
  if (is_strangers || is_trying) return;
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

void IkeCore::fail(Record& record, Failure failure, const Endpoint& remote) {
  act(AttemptFailed{record.connection->name, "", failure.reason, remote});
  record.last_failure = std::move(failure);
}

const IkeCore::Failure& IkeCore::failure(const std::string& connection) const {
  static const Failure none;
  const auto found = records_.find(connection);
  return found == records_.end() ? none : found->second.last_failure;
}

}  // namespace espgate::ike
