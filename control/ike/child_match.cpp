#include "control/ike/child_match.hpp"

#include <fmt/format.h>

#include <cmath>

#include "control/ike/describe.hpp"
#include "control/ike/narrowing.hpp"

namespace espgate::ike {
namespace {

// The address bytes as a number; that it is rounded does not matter here.
double number_of(const net::Address& address) {
  double number = 0;
  for (int i = 0; i < address.bits() / 8; ++i)
    number = number * 256 + address.bytes[static_cast<std::size_t>(i)];
  return number;
}

// How much the sides say, as far as that is needed to tell the wider from the narrower.
double breadth(const std::vector<SelectorSide>& sides) {
  constexpr double protocols = 256, ports = 65'536;
  double sum = 0;
  for (const auto& side : sides) {
    auto size = number_of(side.addresses.last) - number_of(side.addresses.first) + 1;
    if (side.protocol) size /= protocols;
    size *= (side.ports.last - side.ports.first + 1) / ports;
    sum += size;
  }
  return sum;
}

}  // namespace

ChildMatch match_of(const ChildConfiguration& child, const NarrowedOffer& offer, bool is_free) {
  const bool is_whole = is_within(offer.offered_remote, offer.remote.sides) &&
                        is_within(offer.offered_local, offer.local.sides);
  const bool leaves_nothing =
      is_within({child.remote}, offer.remote.sides) && is_within({child.local}, offer.local.sides);
  const double closeness =
      is_whole ? -std::log2(breadth(child.remote)) - std::log2(breadth(child.local))
               : std::log2(breadth(offer.remote.sides)) + std::log2(breadth(offer.local.sides));
  return {is_whole && leaves_nothing, is_free, is_whole, closeness};
}

std::string what_is_left_out(const Child& child, bool more_possible) {
  const auto& wanted = *child.configuration;
  if (is_within({wanted.local}, child.local) && is_within({wanted.remote}, child.remote)) return {};
  return fmt::format("child {} is between {} and {} only: what else there is between {} and {} is dropped{}",
                     wanted.name, describe(child.local), describe(child.remote), describe(wanted.local),
                     describe(wanted.remote),
                     more_possible ? "; the peer would make SAs of their own for that: give it connections "
                                     "of its own (child-of)"
                                   : "");
}

Failing failing_of(NotifyType error) {
  return error == NotifyType::no_additional_sas ? Failing::no_room_there : Failing::mismatch;
}

std::string why_refused(NotifyType error, const ChildConfiguration& ours, bool with_key_exchange) {
  return fmt::format("the peer refused it with {}{}; we offered {}", describe(error),
                     error == NotifyType::single_pair_required
                         ? ": it takes one network on each side, so give each pair a connection (child-of)"
                     : error == NotifyType::no_additional_sas
                         ? ": it takes no more child SAs on this IKE SA, whatever they are for"
                         : "",
                     describe_request(ours, with_key_exchange));
}

std::string why_no_fit(const Payloads& answer, const ChildConfiguration& ours, bool with_key_exchange) {
  return fmt::format("the peer's answer does not fit our offer: it chose {}; we offered {}",
                     describe_request(answer), describe_request(ours, with_key_exchange));
}

bool asks_for(const Payloads& request, const ChildConfiguration& child) {
  return request.ts_initiator && request.ts_responder &&
         child.transport == (request.notify(NotifyType::use_transport_mode) != nullptr) &&
         is_within(*request.ts_initiator, child.remote) && is_within(*request.ts_responder, child.local);
}

std::string why_no_second(std::span<const Child> there, const ChildConfiguration& child,
                          const TrafficSelectors& local, const TrafficSelectors& remote) {
  for (const auto& other : there) {
    if (other.configuration->name != child.name || other.delete_wanted || other.replaced) continue;
    if (!is_within({other.remote}, remote.sides) || !is_within({other.local}, local.sides))
      return fmt::format(
          "child {} has an SA between {} and {}, and its traffic goes by one SA at a time: for each pair of "
          "networks to have one of its own, give each a connection (child-of)",
          child.name, describe(other.local), describe(other.remote));
  }
  return {};
}

}  // namespace espgate::ike
