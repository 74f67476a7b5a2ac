// Where the peer is, when that changes: because its NAT says so (RFC 7296 2.23), or because the peer, who
// began, does (MOBIKE, RFC 4555). Where we are is in ike_sa_own_address.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/ike_sa.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t cookie_bytes = 16;

// What NO_NATS_ALLOWED has: both addresses, then both ports (RFC 4555 4.2.6).
std::vector<std::uint8_t> path_of(const Endpoint& from, const Endpoint& to) {
  std::vector<std::uint8_t> path;
  for (const auto* end : {&from, &to}) {
    const auto bytes = end->address.family == net::Family::v4 ? 4 : 16;
    path.insert(path.end(), end->address.bytes.begin(), end->address.bytes.begin() + bytes);
  }
  for (const auto* end : {&from, &to}) {
    path.push_back(static_cast<std::uint8_t>(end->port >> 8));
    path.push_back(static_cast<std::uint8_t>(end->port));
  }
  return path;
}

}  // namespace

// A NAT may give the peer another address or port at any time; only something new and authentic says so, and
// only to who is behind no NAT himself. With MOBIKE the peer says it (RFC 4555 3.8).
void IkeSa::peer_is_at(const DatagramReceived& datagram, Time now) {
  const bool may_move = state_ == State::established && connection_->follow_peer && !mobility_.agreed &&
                        nat_.peer_is_behind && !nat_.we_are_behind;
  if (!may_move || datagram.from == remote_) return;
  complain(Complaint::moves, fmt::format("the peer is now at {}", to_string(datagram.from)), now,
           Level::information);
  remote_ = datagram.from;
  for (auto& child : children_) move_child(child);
}

void IkeSa::move_child(Child& child) {
  child.peers_place = remote_;
  if (!child.encapsulated) return;  // its headers have no port
  if (child.outbound_waiting) child.outbound_waiting->remote = remote_;
  host_.act(MoveChild{child.inbound_spi, child.outbound_spi, remote_});
}

// What an INFORMATIONAL request says of the peer's place. IKE goes there at once; traffic once the peer was
// seen to answer there (RFC 4555 3.7), since it may lie to have somebody else flooded.
void IkeSa::update_addresses(const Payloads& request, PayloadWriter& reply, Time now) {
  if (request.notify(NotifyType::nat_detection_source_ip) != nullptr)
    add_nat_detection(reply, answer_from_, answer_to_);
  if (request.notify(NotifyType::update_sa_addresses) == nullptr || state_ != State::established) return;
  const auto* forbidden = request.notify(NotifyType::no_nats_allowed);
  if (forbidden != nullptr && !std::ranges::equal(forbidden->data, path_of(answer_to_, answer_from_))) {
    reply.add(Notify{NotifyType::unexpected_nat_detected, {}});
    return;
  }
  if (answer_from_.address != local_.address && !connection_->is_at(answer_from_.address)) {
    reply.add(Notify{NotifyType::unacceptable_addresses, {}});
    return;
  }
  if (const auto nat = detect_nat(request, spis_, answer_to_, answer_from_); nat.peer_knows) nat_ = nat;
  encapsulated_ = nat_.any() || connection_->force_encapsulation;
  local_ = answer_from_;
  if (remote_ != answer_to_)
    complain(Complaint::moves, fmt::format("the peer says that it is now at {}", to_string(answer_to_)), now,
             Level::information);
  remote_ = answer_to_;
  mobility_.peer_unproven = true;
}

void IkeSa::check_routability(Time now) {
  mobility_.peer_unproven = false;
  exchange_.kind = Exchange::Kind::routability;
  exchange_.cookie = random_bytes(host_, cookie_bytes);
  exchange_.there = remote_;
  send_request(ExchangeType::informational,
               PayloadWriter().add(Notify{NotifyType::cookie2, exchange_.cookie}), now);
}

void IkeSa::on_routability(const Inner& inner, Time now) {
  Payloads payloads;
  const bool can_be_read = !inner.decode(payloads);
  const auto* echo = can_be_read ? payloads.notify(NotifyType::cookie2) : nullptr;
  const bool is_there = echo != nullptr && std::ranges::equal(echo->data, exchange_.cookie);
  const bool is_elsewhere = exchange_.there != remote_;  // meanwhile, and that is asked next
  exchange_over();
  if (is_elsewhere) return;
  // Its children may have gone to a successor meanwhile.
  auto* heir = state_ == State::replaced ? host_.find(successor_) : this;
  if (is_there) return heir == nullptr ? void() : heir->move_children(now);
  complain(Complaint::unproven_place,
           fmt::format("the peer did not show that it is at {}; its traffic does not go there",
                       to_string(remote_)),
           now);
}

// Only what is in UDP can move, and only the peer's end; plain ESP, what has to change from one to the other,
// and what we moved gets new SAs. Who moved makes them if it works like us, and there should not be two.
void IkeSa::move_children(Time now) {
  // Its first comes a round trip and some public-key work later, or it leaves them to us.
  constexpr Time patience = std::chrono::milliseconds(200);
  const auto due = is_mobile() ? now : now + patience;
  for (auto& child : children_) {
    const bool is_there = child.is_between(local_.address, remote_.address, encapsulated_);
    if (is_there && child.peers_place != remote_)
      move_child(child);
    else if (!is_there && !child.peer_rekey && !child.replaced && !child.lost)
      child.rekey_at = std::min(child.rekey_at, due);
  }
}

}  // namespace espgate::ike
