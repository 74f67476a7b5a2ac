// INFORMATIONAL: deletes, signs of life, notifies (RFC 7296 1.4, 2.25).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/ike/describe.hpp"
#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

void IkeSa::on_informational(const Inner& inner, Time now) {
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  PayloadWriter reply;
  std::vector<std::uint32_t> deleted;
  bool ike_deleted = false;
  note_crash_token(payloads);
  const auto lost = on_invalid_spis(payloads, now);
  for (const auto& each : payloads.deletes) {
    if (each.protocol == ProtocolId::ike) ike_deleted = true;
    if (each.protocol != ProtocolId::esp) continue;
    settle_predecessor(now);
    const auto ours = on_delete(each, now);
    deleted.insert(deleted.end(), ours.begin(), ours.end());
  }
  // One at any address makes what it wants itself.
  if (connection_->remote)
    for (const auto& configuration : lost) want_child(configuration, now);
  if (!deleted.empty()) reply.add(Delete{ProtocolId::esp, deleted});
  note_lifetime_of_proof(payloads, now);
  if (mobility_.agreed && !is_mobile()) update_addresses(payloads, reply, now);
  if (const auto* echo = payloads.notify(NotifyType::cookie2))
    reply.add(Notify{NotifyType::cookie2, echo->data});
  answer(ExchangeType::informational, reply);
  // Our AUTH did not convince it (RFC 7296 2.21.2); it does not always say DELETE as well.
  if (payloads.notify(NotifyType::authentication_failed) != nullptr)
    return end(End::disbelieved, why_disbelieved(*connection_), now);
  if (ike_deleted) end(End::by_peer, "the peer closed it", now);
}

void IkeSa::report_invalid_spi(std::uint32_t spi) {
  constexpr std::size_t most = 16;  // while something else is under way
  if (invalid_spis_.size() < most) invalid_spis_.insert(spi);
}

// What it sends gets through, so what we send may again.
void IkeSa::repeat_request(Time now) {
  if (request_.may_repeat(now)) send(request_.messages(), local_, remote_);
}

void IkeSa::want_child_after_report(const ChildHandle& configuration, Time now) {
  if (has_child_of(*configuration)) return;
  const bool is_to_be_told = !invalid_spis_.empty() || exchange_.kind == Exchange::Kind::delete_children;
  if (!is_to_be_told) return want_child(configuration, now);
  if (std::ranges::find(after_report_, configuration) == after_report_.end())
    after_report_.push_back(configuration);
}

// The peer gets what we send on these, and has no SA for it: what is of no use there goes here, and is made
// anew at once, or like anything that failed if it was made just now.
std::vector<ChildHandle> IkeSa::on_invalid_spis(const Payloads& payloads, Time now) {
  constexpr Time just_now = std::chrono::seconds(10);
  std::vector<ChildHandle> lost;
  for (const auto& notify : payloads.notifies) {
    if (notify.type != NotifyType::invalid_spi || notify.data.size() != 4) continue;
    auto* child = find_child_by_outbound(net::load_be32(notify.data, 0));
    if (child == nullptr || child->delete_wanted || child->replaced) continue;
    complain(Complaint::lost_spi,
             fmt::format("the peer does not know SPI {:#010x} of child {} any more: it is replaced",
                         child->outbound_spi, child->configuration->name),
             now);
    if (child->made_at + just_now > now)
      ++child->failures;
    else
      lost.push_back(child->configuration);
    give_up(*child, "the peer does not know it any more", now);
  }
  return lost;
}

// The inbound SPIs of ours that go with it: those that we are not deleting ourselves (RFC
// 7296 1.4.1, 2.25.1).
std::vector<std::uint32_t> IkeSa::on_delete(const Delete& payload, Time now) {
  if (auto* heir = host_.find(successor_); heir != nullptr && state_ == State::replaced)
    return heir->on_delete(payload, now);
  constexpr Time at_once = std::chrono::seconds(10);
  std::vector<std::uint32_t> ours;
  for (const auto spi : payload.spis) {
    auto* child = find_child_by_outbound(spi);
    if (child == nullptr && exchange_.makes_child() && exchange_.gone.size() < most_children)
      exchange_.gone.push_back(spi);
    if (child == nullptr) continue;
    if (child->made_at + at_once > now)
      ++child->failures;  // it has no use for it, so it is not asked at once
    if (child->state != Child::State::closing) ours.push_back(child->inbound_spi);
    const auto configuration = child->configuration;
    remove_child(child->inbound_spi, "the peer deleted it", !child->delete_wanted || child->make_again, now);
    // What was wrong with its rekey is no reason any more.
    if (!has_child_of(*configuration)) child_failures_.forget(configuration->name);
  }
  return ours;
}

void IkeSa::on_children_deleted(Time now) {
  // The peer makes them anew itself if it knows how to, and then there should not be two.
  constexpr Time patience = std::chrono::milliseconds(20);
  const auto deleted = std::move(exchange_.deleted);
  exchange_over();
  for (const auto spi : deleted)
    if (const auto* child = find_child(spi)) remove_child(spi, "it was deleted", child->make_again, now);
  for (const auto& configuration : std::exchange(after_report_, {}))
    want_child(configuration, now + patience);
}

}  // namespace espgate::ike
