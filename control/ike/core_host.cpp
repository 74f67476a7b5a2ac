// What the core does for its IKE SAs.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/core.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

namespace {

Urgency urgency_of(const IkeSa& sa) {
  if (sa.is_half_open()) return Urgency::newcomer;
  const bool begins = sa.state() == IkeSa::State::greeting || sa.state() == IkeSa::State::proving;
  return begins ? Urgency::beginning : Urgency::established;
}

}  // namespace

void IkeCore::act(Action action) {
  if (auto* work = std::get_if<RunWork>(&action)) {
    work->urgency = urgency_of(*sas_.at(work->ticket.sa).sa);
    if (work->urgency == Urgency::beginning) beginning_.insert(work->ticket.sa);
  }
  actions_.push_back(std::move(action));
}

std::optional<std::string> IkeCore::limited(const IkeSa& sa, Complaint about, const std::string& text,
                                            Time now) {
  if (auto* lines = by_peer_.lines(sa)) return lines->say(about, text, now);
  return may_tell_of_stranger(now) ? std::optional(text) : std::nullopt;
}

std::uint64_t IkeCore::new_ike_spi() {
  for (;;) {
    std::array<std::uint8_t, 4> bytes;
    fill_random(bytes);
    const auto spi = parts_.ike_spis.make(parts_.tokens.mark(net::load_be32(bytes, 0)));
    if (spi != 0 && !by_spi_.contains(spi)) return spi;
  }
}

std::optional<std::uint32_t> IkeCore::new_child_spi(const ChildConfiguration& child) {
  return parts_.child_spi(child.name);
}

std::vector<ConnectionHandle> IkeCore::candidates(const Endpoint& local, const Endpoint& remote) const {
  std::vector<ConnectionHandle> found;
  const auto add = [&](const std::vector<ConnectionHandle>& connections) {
    for (const auto& connection : connections)
      if (connection->is_at(local.address)) found.push_back(connection);
  };
  if (const auto known = peers_.find(remote.address); known != peers_.end()) add(known->second);
  add(any_peer_);
  return found;
}

void IkeCore::established(IkeSa& sa, Time now) {
  by_connection_[sa.connection()->name].insert(sa.id());
  by_peer_.add(sa);
  const auto found = records_.find(sa.connection()->name);
  if (found != records_.end()) {
    auto& record = found->second;
    if (record.up_since == never) record.up_since = now;
    record.forget_failures();
    record.demanded.clear();
    for (const auto spi : std::exchange(record.invalid_spis, {})) sa.report_invalid_spi(spi);
    retries_.erase({record.retry_at, record.connection->name});
    record.retry_at = never;
  }
  // Who began makes the children; if it does not make all that we want up, we do.
  constexpr Time patience = std::chrono::seconds(10);
  if (!sa.is_initiator()) want_all(sa, now + patience);
  if (!sa.is_initiator() && sa.connection()->remote) give_up_greetings(sa, now);
  for (const auto id : by_peer_.beside(sa)) {
    auto* other = find(id);
    for (auto* each : {&sa, other})
      if (each->lineage().we_began && is_redundant(*each)) each->close(IkeSa::End::replaced);
  }
  drop_surplus(sa, now);
}

bool IkeCore::has_room_beside(const IkeSa& sa, Time now) {
  for (const auto id : by_peer_.beside(sa)) {
    if (by_peer_.count(sa) < limits_.ike_sas_per_peer) break;
    if (sas_.at(id).end_seen) forget(id);
  }
  if (by_peer_.count(sa) >= limits_.ike_sas_per_peer) {
    refuse_by(Limit::ike_sas_per_peer, limits_.ike_sas_per_peer, sa.remote(), now);
    return false;
  }
  // In a table that is full all the same each can be replaced.
  if (sas_.size() < 2 * limits_.ike_sas) return true;
  refuse_by(Limit::ike_sas, limits_.ike_sas, sa.remote(), now);
  return false;
}

void IkeCore::drop_surplus(const IkeSa& sa, Time now) {
  for (const bool only_gone : {true, false})
    for (const auto id : by_peer_.beside(sa)) {
      if (by_peer_.count(sa) <= limits_.ike_sas_per_peer) return;
      auto& other = *sas_.at(id).sa;
      if (&other == &sa || (only_gone && other.state() != IkeSa::State::gone)) continue;
      // The peer hears of it once, as far as nothing else is under way.
      other.close(IkeSa::End::replaced);
      other.proceed(now);
      if (!only_gone && refusals_.add(Limit::ike_sas_per_peer, now))
        act(LogLine{
            Level::warning,
            fmt::format("connection {}, peer {}: it has more than {} IKE SAs (limits.ike-sas-per-peer), "
                        "so the oldest goes",
                        sa.connection()->name, to_string(sa.remote()), limits_.ike_sas_per_peer),
            sa.connection()->name});
      other.end(IkeSa::End::replaced, "its peer has begun too many others", now);
      settle(id, now);
      if (sas_.contains(id)) forget(id);
    }
}

void IkeCore::reauthenticate(const IkeSa& sa, Time now) {
  const auto& connection = sa.connection();
  const auto is_under_way = std::ranges::any_of(
      living(connection->name), [&](const IkeSa* other) { return other->replaces() == sa.id(); });
  if (is_under_way || !connection->local || !connection->remote) return;
  std::vector<ChildHandle> children;
  for (const auto& child : sa.children()) {
    const auto& wanted = child.configuration;
    const bool is_there =
        std::ranges::any_of(children, [&](const ChildHandle& other) { return other->name == wanted->name; });
    if (!is_there && !child.delete_wanted) children.push_back(wanted);
  }
  begin_anew(connection, sa.local().address, std::move(children), now).replace(sa.id());
}

// Both sides have both IKE SAs, and so come to the same answer: the lower of the initiators' SPIs goes.
bool IkeCore::is_redundant(const IkeSa& sa) const {
  if (sa.state() != IkeSa::State::established) return false;
  return std::ranges::any_of(by_peer_.beside(sa), [&](SaId id) {
    const auto& other = *sas_.at(id).sa;
    return other.state() == IkeSa::State::established && !other.is_closing() &&
           other.lineage().we_began != sa.lineage().we_began &&
           sa.lineage().initiator_spi < other.lineage().initiator_spi;
  });
}

// Where both began at once each says it, and the peer may have answered ours since: then both know which of
// the two goes.
void IkeCore::initial_contact(const IkeSa& sa, Time now) {
  const auto record = records_.find(sa.connection()->name);
  const bool both_began = record != records_.end() && record->second.up_since != never &&
                          sa.schedule().begun_at <= record->second.up_since;
  for (const auto id : by_peer_.beside(sa)) {
    if (id == sa.id()) continue;
    auto& before = *find(id);
    const bool is_up = before.state() == IkeSa::State::established;
    if (is_up && both_began && before.lineage().we_began) continue;
    if (is_up && !both_began) note_peer_restart(sa, now);
    before.end(IkeSa::End::replaced, "the peer started anew", now);
  }
}

// The peer ends all that it has between the same two identities, of whichever connection, so the first of
// those to that peer says it, and no other.
bool IkeCore::is_first_contact(const IkeSa& sa) const {
  const auto& ours = *sa.connection();
  const auto is_or_may_be = [&](SaId id) {
    const auto state = sas_.at(id).sa->state();
    return id != sa.id() && (state == IkeSa::State::established || state == IkeSa::State::proving);
  };
  const auto has_contact = [&](const ConnectionHandle& other) {
    const auto ids = by_connection_.find(other->name);
    return other->identity == ours.identity && ids != by_connection_.end() &&
           std::ranges::any_of(ids->second, is_or_may_be);
  };
  if (has_contact(sa.connection())) return false;
  const auto beside = ours.remote ? peers_.find(*ours.remote) : peers_.end();
  return beside == peers_.end() || std::ranges::none_of(beside->second, has_contact);
}

void IkeCore::own_child(const Child& child, const IkeSa& sa) {
  children_[child.inbound_spi] = sa.id();
  act(OwnChild{child.inbound_spi, child.configuration->name, sa.remote().address, sa.spis(),
               sa.is_initiator()});
}

std::uint32_t IkeCore::current_outbound(const std::string& key) const {
  const auto found = outbound_.find(key);
  return found == outbound_.end() ? 0 : found->second;
}

void IkeCore::set_current_outbound(const std::string& key, std::uint32_t spi) {
  if (spi == 0)
    outbound_.erase(key);
  else
    outbound_[key] = spi;
}

}  // namespace espgate::ike
