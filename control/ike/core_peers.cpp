// The peers of connections, each with any number of IKE SAs: while one replaces another, or both sides begin.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/core.hpp"

namespace espgate::ike {
namespace {

bool is_living(const IkeSa& sa) {
  switch (sa.state()) {
    case IkeSa::State::greeting:
    case IkeSa::State::proving:
    case IkeSa::State::established:
      return !sa.is_closing();
    case IkeSa::State::answering:
    case IkeSa::State::keyed:
    case IkeSa::State::replaced:
    case IkeSa::State::closing:
    case IkeSa::State::gone:
      break;
  }
  return false;
}

bool overlap(const SelectorSide& a, const SelectorSide& b) {
  return a.addresses.first.family == b.addresses.first.family && a.addresses.first <= b.addresses.last &&
         b.addresses.first <= a.addresses.last;
}

}  // namespace

std::vector<IkeSa*> IkeCore::those_of(const std::string& connection, const std::optional<Identity>& peer) {
  std::vector<IkeSa*> found;
  const auto ids = by_connection_.find(connection);
  if (ids == by_connection_.end()) return found;
  for (const auto id : ids->second)
    if (!peer || sas_.at(id).sa->peer_identity() == peer) found.push_back(find(id));
  return found;
}

std::vector<IkeSa*> IkeCore::living(const std::string& connection, const std::optional<Identity>& peer) {
  auto found = those_of(connection, peer);
  std::erase_if(found, [](const IkeSa* sa) { return !is_living(*sa); });
  return found;
}

bool IkeCore::has_living(const std::string& connection) const {
  const auto ids = by_connection_.find(connection);
  return ids != by_connection_.end() &&
         std::ranges::any_of(ids->second, [&](SaId id) { return is_living(*sas_.at(id).sa); });
}

// The peer has proved itself by its own, and cannot give that one up any more, so that one is left whoever is
// quicker. Two that both proved themselves are not to be had without a moment in which both are there.
void IkeCore::give_up_greetings(IkeSa& sa, Time now) {
  constexpr Time patience = std::chrono::seconds(1);  // for the children that the peer makes itself
  for (auto* other : living(sa.connection()->name)) {
    if (other->state() != IkeSa::State::greeting || other->replaces() != 0) continue;
    for (const auto& wanted : other->wanted()) sa.want_child(wanted.configuration, now + patience);
    other->end(IkeSa::End::replaced, "", now);
  }
}

// What it had still to make, or lost on its way out, the only one that stays makes.
void IkeCore::hand_on(const IkeSa& ended, Time now) {
  constexpr Time patience = std::chrono::seconds(1);  // for a peer that does the same
  const auto& connection = ended.connection();
  const auto found = records_.find(connection->name);
  if (found == records_.end() || found->second.connection != connection || !connection->remote) return;
  const auto there = living(connection->name);
  if (there.size() != 1) return;
  if (ended.ended() != IkeSa::End::commanded)
    for (const auto& wanted : ended.wanted())
      there.front()->want_child(wanted.configuration, std::max(wanted.not_before, now + patience));
  want_all(*there.front(), now + patience);
}

// With `always`: what no operator terminated.
void IkeCore::want_all(IkeSa& sa, Time not_before) {
  const auto& connection = sa.connection();
  if (connection->start != StartAction::always) return;
  const auto found = records_.find(connection->name);
  for (const auto& child : connection->children)
    if (found == records_.end() || !found->second.unwanted.contains(child.name))
      sa.want_child(ChildHandle(connection, &child), not_before);
}

bool IkeCore::other_takes_over(const IkeSa& sa, const std::string& key, Time now) {
  return std::ranges::any_of(by_peer_.beside(sa), [&](SaId id) { return find(id)->take_over(key, now); });
}

// Addresses that are given out are each one peer's alone already.
bool IkeCore::has_other_peer(const IkeSa& sa, const std::string& child,
                             const std::vector<SelectorSide>& sides) const {
  const auto ids = by_connection_.find(sa.connection()->name);
  if (ids == by_connection_.end() || !sa.given_addresses().empty()) return false;
  const auto has_some = [&](const Child& other) {
    return other.configuration->name == child && std::ranges::any_of(other.remote, [&](const auto& theirs) {
             return std::ranges::any_of(sides, [&](const auto& wanted) { return overlap(theirs, wanted); });
           });
  };
  return std::ranges::any_of(ids->second, [&](SaId id) {
    const auto& other = *sas_.at(id).sa;
    return other.peer_identity() != sa.peer_identity() && std::ranges::any_of(other.children(), has_some);
  });
}

std::vector<net::Address> IkeCore::lease(const IkeSa& sa, const AddressesWanted& wanted) {
  return leases_[sa.connection()->name].take(sa.connection()->peer_addresses, PeerSas::key_of(sa), wanted);
}

void IkeCore::end_lease(const IkeSa& sa) {
  const auto leases = leases_.find(sa.connection()->name);
  if (leases == leases_.end()) return;
  leases->second.release(PeerSas::key_of(sa));
  if (leases->second.empty()) leases_.erase(leases);
}

Time IkeCore::rekey_at(std::uint32_t inbound_spi) const {
  const auto owner = children_.find(inbound_spi);
  if (owner == children_.end()) return never;
  const auto& children = sas_.at(owner->second).sa->children();
  const auto child = std::ranges::find(children, inbound_spi, &Child::inbound_spi);
  return child == children.end() ? never : child->rekey_at;
}

}  // namespace espgate::ike
