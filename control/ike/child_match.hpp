// Which of a connection's children a peer means, when its selectors fit several. Any thread.
#pragma once

#include <compare>
#include <span>
#include <string>

#include "control/ike/child_failures.hpp"
#include "control/ike/child_sa.hpp"
#include "control/ike/message.hpp"
#include "control/ike/protocol.hpp"

namespace espgate::ike {

// How well a child fits what a peer asks for; the greater the better.
struct ChildMatch {
  bool is_exact = false;  // the peer asks for the child's networks, no more and no less
  bool is_free = false;   // it has no SA
  bool is_whole = false;  // all that the peer asks for
  double closeness = 0;   // of two that are whole the narrower child, else the one of which more is left
  auto operator<=>(const ChildMatch&) const = default;
};

// What is offered from the peer's side and for ours, and what the child leaves of it.
struct NarrowedOffer {
  const TrafficSelectors& offered_remote;
  const TrafficSelectors& offered_local;
  const TrafficSelectors& remote;
  const TrafficSelectors& local;
};
ChildMatch match_of(const ChildConfiguration& child, const NarrowedOffer& offer, bool is_free);

// Whether all that the peer asks for is the child's, and in its mode.
bool asks_for(const Payloads& request, const ChildConfiguration& child);

// Why another SA for these selectors would take traffic from the child's SA that is there, since a child's
// goes out by one at a time; empty: it would not.
std::string why_no_second(std::span<const Child> there, const ChildConfiguration& child,
                          const TrafficSelectors& local, const TrafficSelectors& remote);

// What of its networks a child's SA leaves out; empty: nothing. `more_possible`: the peer has said that it
// would make others for that.
std::string what_is_left_out(const Child& child, bool more_possible);
// What a refusal of the peer's means, of a child of ours or of an IKE SA in place of another.
Failing failing_of(NotifyType error);
// The peer refused a child of ours: with what, what we offered, and what may help.
std::string why_refused(NotifyType error, const ChildConfiguration& ours, bool with_key_exchange);
// The peer agreed to something else than we offered.
std::string why_no_fit(const Payloads& answer, const ChildConfiguration& ours, bool with_key_exchange);

}  // namespace espgate::ike
