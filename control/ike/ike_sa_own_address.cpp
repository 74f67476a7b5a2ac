// Where we are, when that or what a NAT makes of it changes. If we began, and the peer does MOBIKE, it is
// told (RFC 4555 3.5), and the children get new SAs between the new addresses; else all begins anew from
// there, beside what there is.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"

namespace espgate::ike {
namespace {

constexpr unsigned patient_tries = 3;  // of a request, before it goes from another address; at most half

}  // namespace

void IkeSa::add_nat_detection(PayloadWriter& payloads, const Endpoint& from, const Endpoint& to) const {
  // Forced encapsulation pretends a NAT: the peer then finds that our address was changed on the way.
  auto source = nat_hash(spis_, from);
  if (connection_->force_encapsulation) source.fill(0);
  payloads.add(Notify{NotifyType::nat_detection_source_ip, source});
  payloads.add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(spis_, to)});
}

void IkeSa::we_are_at(const net::Address& address, Time now) {
  if (address == local_.address || state_ == State::gone || is_half_open()) return;
  if (state_ == State::greeting || state_ == State::proving)
    return end(End::failed, fmt::format("our address {} is gone", net::to_string(local_.address)), now);
  const auto before = local_.address;
  leave_for(address);
  mobility_.refused.clear();
  // That it was not answered at the old address is no sign that the peer is gone. Once for each: addresses
  // that come and go for ever keep nobody alive.
  if (request_.is_under_way()) {
    auto& left = exchange_.left;
    if (std::ranges::find(left, before) == left.end()) {
      left.push_back(before);
      request_.begin_again(now, random_unit(host_));
    }
    send(request_.messages(), local_, remote_);
  }
  if (state_ != State::established || mobility_.agreed || !lineage_.we_began) return;
  begin_anew_beside(now);
}

void IkeSa::leave_for(const net::Address& address) {
  log(state_ == State::established ? Level::information : Level::debug,
      fmt::format("we are now at {}, and were at {}", net::to_string(address),
                  net::to_string(local_.address)));
  local_.address = address;
  mobility_.update_due = is_mobile();
}

// The address is there, and nothing comes back to it: what is under way goes from each of the others in turn.
void IkeSa::try_other_path() {
  const bool may_move = state_ == State::established && is_mobile();
  if (!may_move || request_.tries() <= std::min(patient_tries, connection_->retransmission.tries / 2)) return;
  const auto usable = host_.usable_locals(*this);
  auto next = std::ranges::find(usable, local_.address);
  if (next != usable.end()) ++next;
  if (next == usable.end()) next = usable.begin();
  if (next != usable.end() && *next != local_.address) leave_for(*next);
}

// It sees us by what a NAT makes of us. Where that has changed it does not find us any more, and takes us
// there when we say so only (RFC 4555 3.8).
void IkeSa::on_alive(const Inner& inner) {
  const bool is_elsewhere = exchange_.there != local_;  // meanwhile, and that is told next
  exchange_over();
  Payloads payloads;
  if (is_elsewhere || !is_mobile() || inner.decode(payloads)) return;
  const auto nat = detect_nat(payloads, spis_, remote_, local_);
  if (!nat.peer_knows || nat.is_like(nat_)) return;
  log(Level::debug, "a NAT on the way has changed what the peer sees of us");
  mobility_.update_due = true;
}

void IkeSa::tell_address(Time now) {
  mobility_.update_due = false;
  liveness_.asked = now;
  exchange_.kind = Exchange::Kind::update;
  exchange_.there = local_;
  PayloadWriter payloads;
  payloads.add(Notify{NotifyType::update_sa_addresses, {}});
  add_nat_detection(payloads, local_, remote_);
  send_request(ExchangeType::informational, payloads, now);
}

void IkeSa::on_address_told(const Inner& inner, Time now) {
  Payloads payloads;
  const auto unreadable = inner.decode(payloads);
  const bool is_elsewhere = exchange_.there != local_;  // meanwhile, and that is told next
  exchange_over();
  // Its children may have gone to a successor meanwhile.
  auto* heir = state_ == State::replaced ? host_.find(successor_) : this;
  if (is_elsewhere || heir == nullptr) return;
  const auto* error = unreadable ? nullptr : payloads.error();
  if (unreadable || error != nullptr)
    return heir->refused_here(error == nullptr ? NotifyType::invalid_syntax : error->type, now);
  heir->mobility_.refused.clear();
  if (const auto nat = detect_nat(payloads, spis_, remote_, local_); nat.peer_knows) heir->nat_ = nat;
  heir->encapsulated_ = heir->nat_.any() || connection_->force_encapsulation;
  heir->move_children(now);
}

// Each of our addresses is tried once, in order; a peer that takes none of them may take us anew.
void IkeSa::refused_here(NotifyType why, Time now) {
  auto& refused = mobility_.refused;
  refused.push_back(local_.address);
  const auto usable = host_.usable_locals(*this);
  const auto next = std::ranges::find_if(
      usable, [&](const net::Address& each) { return std::ranges::find(refused, each) == refused.end(); });
  const bool goes_on = why == NotifyType::unacceptable_addresses && next != usable.end();
  log(Level::warning, fmt::format("the peer does not take us at {} ({}): {}", net::to_string(local_.address),
                                  describe(why), goes_on ? "we try another" : "all begins anew"));
  if (goes_on) return leave_for(*next);
  if (refused.size() > 1 && !usable.empty()) local_.address = usable.front();
  refused.clear();
  begin_anew_beside(now);
}

}  // namespace espgate::ike
