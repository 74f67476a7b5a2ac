// The child SAs of an IKE SA: agreed on, installed, removed.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/child_match.hpp"
#include "control/ike/ike_sa.hpp"
#include "control/ike/narrowing.hpp"

namespace espgate::ike {
namespace {

// In transport mode an end is what it is here, whatever a NAT has made of it there (RFC 7296 2.23.1).
TrafficSelectors as_seen_here(TrafficSelectors selectors, bool behind_nat, const net::Address& end) {
  for (auto& side : selectors.sides)
    if (behind_nat && side.addresses.first == side.addresses.last &&
        side.addresses.first.family == end.family)
      side.addresses = {end, end};
  return selectors;
}

bool takes_tfc_padding(const Payloads& payloads) {
  return payloads.notify(NotifyType::esp_tfc_padding_not_supported) == nullptr;
}

}  // namespace

Child* IkeSa::find_child(std::uint32_t inbound_spi) {
  const auto found = std::ranges::find(children_, inbound_spi, &Child::inbound_spi);
  return found == children_.end() ? nullptr : &*found;
}

Child* IkeSa::find_child_by_outbound(std::uint32_t outbound_spi) {
  const auto found = std::ranges::find(children_, outbound_spi, &Child::outbound_spi);
  return found == children_.end() ? nullptr : &*found;
}

// Of what one outbound SA at a time is in use for.
std::string IkeSa::key_of(const ChildConfiguration& child) const {
  return key_with(fmt::format("{}/{}", connection_->name, child.name), *peer_identity_);
}

std::optional<Identity> IkeSa::peer_of_many() const {
  return connection_->remote ? std::nullopt : peer_identity_;
}

ChildHandle IkeSa::child_named(const std::string& name) const {
  const auto found = std::ranges::find(connection_->children, name, &ChildConfiguration::name);
  return found == connection_->children.end() ? nullptr : ChildHandle(connection_, &*found);
}

bool IkeSa::uses(std::uint32_t inbound_spi) const {
  return std::ranges::any_of(children_, [&](const Child& child) {
    return child.inbound_spi == inbound_spi && !child.delete_wanted && child.state == Child::State::installed;
  });
}

bool IkeSa::has_child_of(const ChildConfiguration& configuration) const {
  return std::ranges::any_of(children_, [&](const Child& child) {
    return child.configuration->name == configuration.name && !child.delete_wanted;
  });
}

// What the peer may protect of its side. One at any address has what it was given, or in transport mode
// itself.
std::vector<SelectorSide> IkeSa::sides_of_peer(const ChildConfiguration& child) const {
  if (connection_->remote) return child.remote;
  std::vector<SelectorSide> sides;
  const auto add = [&](const net::Address& address) {
    for (auto side : child.remote) {
      if (!side.addresses.contains(address)) continue;
      side.addresses = {address, address};
      sides.push_back(side);
    }
  };
  if (child.transport)
    add(remote_.address);
  else if (!connection_->peer_addresses.empty())
    std::ranges::for_each(given_, add);
  else
    return child.remote;
  return sides;
}

// What the peer offers, and we allow. `replaced`: the child that it is for; null: the one that fits best. A
// peer at any address keeps what it has with a rekey, and gets nothing that another has.
std::variant<ChildTerms, NotifyType> IkeSa::agree(const Payloads& payloads, const Child* replaced,
                                                  bool with_key_exchange, Time now) const {
  if (!payloads.security_association || !payloads.ts_initiator || !payloads.ts_responder)
    return NotifyType::invalid_syntax;
  const bool transport = payloads.notify(NotifyType::use_transport_mode) != nullptr;
  const bool keeps = replaced != nullptr && !connection_->remote;
  auto refusal = NotifyType::ts_unacceptable;
  std::optional<ChildTerms> best;
  ChildMatch best_match;
  bool is_sure = true;
  for (const auto& each : connection_->children) {
    const ChildHandle configuration(connection_, &each);
    if (replaced != nullptr && replaced->configuration->name != each.name) continue;
    const bool both_transport = each.transport && transport;
    const auto theirs =
        as_seen_here(*payloads.ts_initiator, both_transport && nat_.peer_is_behind, remote_.address);
    const auto mine =
        as_seen_here(*payloads.ts_responder, both_transport && nat_.we_are_behind, local_.address);
    ChildTerms terms;
    terms.configuration = configuration;
    terms.ts_initiator = narrow(theirs, keeps ? replaced->remote : sides_of_peer(each));
    terms.ts_responder = narrow(mine, keeps ? replaced->local : each.local);
    terms.transport = both_transport;
    terms.tfc_padding = takes_tfc_padding(payloads);
    auto selectors = narrow_to_pairs(terms.ts_responder, terms.ts_initiator);
    if (!selectors || each.transport != terms.transport) continue;
    if (!connection_->remote && host_.has_other_peer(*this, each.name, terms.ts_initiator.sides)) {
      complain(Complaint::others_addresses, "it asks for what another peer of this connection has", now);
      continue;
    }
    terms.selectors = std::move(*selectors);
    auto algorithms = each.algorithms;
    if (!with_key_exchange) algorithms.clear_key_exchanges();
    const auto choice = choose(*payloads.security_association, algorithms,
                               payloads.key_exchange ? payloads.key_exchange->method : std::uint16_t{0});
    if (!choice) {
      refusal = NotifyType::no_proposal_chosen;
      continue;
    }
    terms.choice = *choice;
    const auto match =
        match_of(each, {theirs, mine, terms.ts_initiator, terms.ts_responder}, !has_child_of(each));
    if (best && match <= best_match) {
      is_sure = is_sure && match < best_match;
      continue;
    }
    best = std::move(terms);
    best_match = match;
    is_sure = true;
  }
  if (!best) return refusal;
  if (replaced != nullptr) return *std::move(best);
  const auto why = best_match.is_free || is_sure ? why_no_second(children_, *best->configuration,
                                                                 best->ts_responder, best->ts_initiator)
                                                 : "the children that it could be for all have their SA";
  if (why.empty()) return *std::move(best);
  complain(Complaint::child_has_an_sa, why, now);
  return NotifyType::no_additional_sas;
}

// As initiator, of the exchange's child.
void IkeSa::offer_selectors(const Child* replaced) {
  const bool keeps = replaced != nullptr && !connection_->remote;
  exchange_.local = {keeps ? replaced->local : exchange_.child->local};
  exchange_.remote = {keeps ? replaced->remote : exchange_.child->remote};
}

// What the peer chose of our offer. None: it did not.
std::optional<ChildTerms> IkeSa::accept_terms(const Payloads& payloads, bool with_key_exchange) const {
  if (!payloads.security_association || !payloads.ts_initiator || !payloads.ts_responder) return {};
  const auto& configuration = exchange_.child;
  auto algorithms = configuration->algorithms;
  if (!with_key_exchange) algorithms.clear_key_exchanges();
  const auto choice = accept_child_answer(*payloads.security_association, algorithms);
  const bool transport = payloads.notify(NotifyType::use_transport_mode) != nullptr;
  if (!choice || transport != configuration->transport) return {};
  const auto mine = as_seen_here(*payloads.ts_initiator, transport && nat_.we_are_behind, local_.address);
  const auto theirs = as_seen_here(*payloads.ts_responder, transport && nat_.peer_is_behind, remote_.address);
  if (!is_within(mine, exchange_.local.sides) || !is_within(theirs, exchange_.remote.sides)) return {};
  auto selectors = pairs(mine, theirs);
  if (!selectors) return {};
  ChildTerms terms;
  terms.configuration = configuration;
  terms.choice = *choice;
  terms.ts_initiator = mine;
  terms.ts_responder = theirs;
  terms.selectors = std::move(*selectors);
  terms.transport = transport;
  terms.tfc_padding = takes_tfc_padding(payloads);
  terms.more_possible = payloads.notify(NotifyType::additional_ts_possible) != nullptr;
  return terms;
}

// Its inbound SA is installed at once. `we_began` the exchange.
Child& IkeSa::add_child(const ChildTerms& terms, std::uint32_t inbound_spi, const KeyExchanges& keys,
                        bool we_began, Time now) {
  const auto& suite = crypto::suite(terms.choice.suite);
  const auto keymat = child_keymat(choice_->prf, keys_.d, keys.shared, keys.nonces.view(), suite);
  const auto half = [&](bool initiators) {
    const auto part =
        std::span(keymat.bytes()).subspan(initiators ? 0 : suite.keymat_bytes(), suite.keymat_bytes());
    Secret copy(part.size());
    std::ranges::copy(part, copy.writable().begin());
    return copy;
  };
  const auto parameters = [&](std::uint32_t spi, bool initiators) {
    return ChildSaParameters{connection_->name,
                             terms.configuration->name,
                             spi,
                             suite.id,
                             half(initiators),
                             local_,
                             remote_,
                             encapsulated_,
                             terms.transport,
                             terms.choice.extended_sequence,
                             terms.selectors,
                             peer_of_many(),
                             terms.tfc_padding};
  };
  Child child;
  child.configuration = terms.configuration;
  child.inbound_spi = inbound_spi;
  child.encapsulated = encapsulated_;
  child.our_address = local_.address;
  child.peers_place = remote_;
  child.local = we_began ? terms.ts_initiator.sides : terms.ts_responder.sides;
  child.remote = we_began ? terms.ts_responder.sides : terms.ts_initiator.sides;
  child.we_began = we_began;
  child.lowest_nonce = keys.nonces.lowest();
  child.made_at = now;
  child.outbound_spi = terms.choice.spi;
  child.outbound_waiting = parameters(child.outbound_spi, we_began);
  const auto& limits = *terms.configuration;
  if (limits.rekey_after.count() != 0)
    child.rekey_at =
        now + std::chrono::duration_cast<Time>(limits.rekey_after * (1 - 0.1 * random_unit(host_)));
  if (limits.expires_after.count() != 0) child.expires_at = now + limits.expires_after;
  // Said once, and not again with each rekey. Of peers at any address each has a part.
  if (const auto less = what_is_left_out(child, terms.more_possible);
      !less.empty() && connection_->remote && !has_child_of(*terms.configuration))
    log(we_began ? Level::warning : Level::information, less);
  host_.act(InstallInbound{parameters(inbound_spi, !we_began)});
  host_.own_child(child, *this);
  std::erase_if(wanted_,
                [&](const WantedChild& wanted) { return wanted.configuration == terms.configuration; });
  child_failures_.forget(terms.configuration->name);
  child_failures_.forget({});
  return children_.emplace_back(std::move(child));
}

void IkeSa::use_outbound(Child& child) {
  if (!child.outbound_waiting || end_ == End::commanded) return;
  host_.act(InstallOutbound{std::move(*child.outbound_waiting), child.inbound_spi});
  child.outbound_waiting.reset();
  host_.set_current_outbound(key_of(*child.configuration), child.outbound_spi);
}

// Of two IKE SAs that both sides began at once only one goes on; traffic is not to move to the other.
void IkeSa::use_unless_redundant(Child& child) {
  const bool in_use = host_.current_outbound(key_of(*child.configuration)) != 0;
  if (!in_use || !host_.is_redundant(*this)) use_outbound(child);
}

// One that was in use before never is again: its sequence numbers would start anew. Rekeyed are those, and
// what lost and so ends soon, unless the peer does that: then its successor is better, if it is there.
bool IkeSa::take_over(const std::string& key, Time now) {
  if (state_ != State::established || close_wanted_) return false;
  for (const bool is_rekeyed : {false, true})
    for (auto& child : children_) {
      if (child.delete_wanted || child.peer_rekey.has_value() != is_rekeyed ||
          key_of(*child.configuration) != key || (is_rekeyed && !child.outbound_waiting))
        continue;
      const bool is_to_be_rekeyed = std::exchange(child.lost, false) || !child.outbound_waiting;
      if (is_to_be_rekeyed && !is_rekeyed) child.rekey_at = now;
      use_outbound(child);
      return true;
    }
  return false;
}

// The peer's new child waits until the one before goes, or something good comes in on it. What comes in on
// one that is being deleted tells that the peer has not heard of that.
void IkeSa::traffic_arrived(std::uint32_t inbound_spi, Time now) {
  liveness_.heard = now;
  auto* child = find_child(inbound_spi);
  if (child != nullptr && (state_ == State::closing || (child->delete_wanted && !child->replaced)))
    repeat_request(now);
  if (child == nullptr || !child->outbound_waiting) return;
  auto* before = find_child(child->predecessor);
  if (before == nullptr || host_.current_outbound(key_of(*child->configuration)) == before->outbound_spi)
    use_outbound(*child);
}

// Its successor, if the peer made one, takes over; else the child's traffic has no SA any more.
void IkeSa::leave_outbound(const Child& child, const std::string& reason, bool make_again, Time now) {
  constexpr Time for_good = std::chrono::seconds(60);  // that it was there so long
  const auto key = key_of(*child.configuration);
  if (host_.current_outbound(key) != child.outbound_spi) return;
  const auto heir = std::ranges::find_if(children_, [&](const Child& other) {
    return other.predecessor == child.inbound_spi && other.outbound_waiting && !other.delete_wanted &&
           !other.lost;
  });
  if (heir != children_.end()) return use_outbound(*heir);
  host_.set_current_outbound(key, 0);
  host_.act(RetireOutbound{connection_->name, child.configuration->name, child.outbound_spi, reason,
                           peer_of_many()});
  if (!host_.other_takes_over(*this, key, now) && make_again)
    want_again(child.configuration, child.made_at + for_good > now ? child.failures : 0, now);
}

void IkeSa::remove_child(std::uint32_t inbound_spi, const std::string& reason, bool make_again, Time now) {
  const auto found = std::ranges::find(children_, inbound_spi, &Child::inbound_spi);
  if (found == children_.end()) return;
  auto child = std::move(*found);
  children_.erase(found);
  host_.disown_child(inbound_spi);
  if (exchange_.rekeyed_spi == inbound_spi) exchange_.rival = child.peer_rekey;
  // Packets that are under way on it are still good.
  child.replaced |=
      std::ranges::any_of(children_, [&](const Child& other) { return other.predecessor == inbound_spi; });
  leave_outbound(child, reason, make_again, now);
  host_.act(RetireInbound{inbound_spi, child.replaced});
  forget_successor(inbound_spi, child.peer_rekey, now);
}

void IkeSa::want_again(const ChildHandle& configuration, unsigned failures, Time now) {
  if (connection_->start != StartAction::always) return;
  wanted_.push_back({configuration, now + retry_wait(host_, failures), failures});
}

bool IkeSa::is_making(const std::string& child) const {
  const auto is_it = [&](const auto& one) { return one.configuration->name == child; };
  return std::ranges::any_of(wanted_, is_it) || (creation_ && creation_->terms && is_it(*creation_->terms)) ||
         (exchange_.child && exchange_.child->name == child);
}

void IkeSa::release_spi(std::uint32_t& inbound_spi) {
  if (inbound_spi != 0) host_.act(RetireInbound{inbound_spi, false});
  inbound_spi = 0;
}

void IkeSa::want_child(const ChildHandle& configuration, Time not_before) {
  if (has_child_of(*configuration)) return;
  if (exchange_.child && exchange_.child->name == configuration->name) {
    exchange_.unwanted = false;
    return;
  }
  for (auto& wanted : wanted_)
    if (wanted.configuration->name == configuration->name) {
      wanted.not_before = std::min(wanted.not_before, not_before);
      return;
    }
  wanted_.push_back({configuration, not_before});
}

void IkeSa::terminate_child(const std::string& name) {
  child_failures_.forget(name);
  std::erase_if(wanted_, [&](const WantedChild& wanted) { return wanted.configuration->name == name; });
  if (exchange_.child && exchange_.child->name == name) exchange_.unwanted = true;
  for (auto& child : children_)
    if (child.configuration->name == name) {
      child.delete_wanted = true;
      child.make_again = false;
    }
}

void IkeSa::stop_sending(const std::string& name, Time now) {
  const auto is_meant = [&](const Child& child) { return name.empty() || child.configuration->name == name; };
  for (auto& child : children_)
    if (is_meant(child)) child.outbound_waiting.reset();
  for (const auto& child : children_)
    if (is_meant(child)) leave_outbound(child, name.empty() ? reason_ : "it was deleted", false, now);
}

void IkeSa::rekey_child(const std::string& name, Time now) {
  for (auto& child : children_)
    if (child.configuration->name == name && !child.peer_rekey && !child.lost) child.rekey_at = now;
}

void IkeSa::soft_expired(std::uint32_t inbound_spi, Time now) {
  auto* child = find_child(inbound_spi);
  if (child != nullptr && !child->peer_rekey && !child->replaced && !child->lost)
    child->rekey_at = std::min(child->rekey_at, now);
}

void IkeSa::give_up_child(std::uint32_t inbound_spi, const std::string& why, Time now) {
  if (auto* child = find_child(inbound_spi)) give_up(*child, why, now);
}

void IkeSa::install_failed(const InstallFailed& failed, Time now) {
  auto* child = find_child(failed.inbound_spi);
  if (child == nullptr || child->delete_wanted) return;
  ++child->failures;
  note_child_failure(child->configuration->name, failed.why,
                     failed.is_shortage ? Failing::no_room : Failing::fault);
  give_up(*child, failed.why, now);
}

// Nothing is sent on it from here on, whenever the peer hears of that.
void IkeSa::give_up(Child& child, const std::string& why, Time now) {
  if (!child.delete_wanted) child.make_again = true;
  child.delete_wanted = true;
  child.outbound_waiting.reset();
  leave_outbound(child, why, child.make_again, now);
}

}  // namespace espgate::ike
