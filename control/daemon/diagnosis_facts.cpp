#include "control/daemon/diagnosis_facts.hpp"

#include <rte_cycles.h>

#include <algorithm>

#include "control/config/ike_settings.hpp"
#include "control/daemon/standing.hpp"

namespace espgate::daemon {
namespace {

using recovery::Age;
using recovery::Facts;
using State = ike::IkeSa::State;

Age seconds_since(std::chrono::nanoseconds then, std::chrono::nanoseconds now) {
  return std::chrono::duration<double>(now - then).count();
}

Age age_of(const Services& services, std::uint64_t tsc) {
  if (tsc == 0) return std::nullopt;
  return static_cast<double>(rte_rdtsc() - tsc) / static_cast<double>(services.gateway->shared().tsc_hz);
}

// How far an IKE SA in that state has come, or had.
Facts::Ike step_of(State state) {
  switch (state) {
    case State::greeting:
    case State::answering:
      return Facts::Ike::greeting;
    case State::proving:
    case State::keyed:
      return Facts::Ike::proving;
    case State::established:
    case State::replaced:
    case State::closing:
    case State::gone:
      break;
  }
  return Facts::Ike::established;
}

Facts::Trouble trouble_of(ike::Failing kind) {
  switch (kind) {
    case ike::Failing::passing:
      break;
    case ike::Failing::mismatch:
      return Facts::Trouble::refused;
    case ike::Failing::no_room:
      return Facts::Trouble::no_room;
    case ike::Failing::no_room_there:
      return Facts::Trouble::no_room_there;
    case ike::Failing::fault:
      return Facts::Trouble::fault;
  }
  return Facts::Trouble::none;
}

void add_way(const Services& services, const config::Connection& connection, const net::Address& peer,
             Facts& facts) {
  facts.has_local_address = services.kernel->has_address(connection.local);
  const auto& hop = services.gateway->forwarding().hop_to(peer.bytes.data(), peer.family);
  const auto by_port = [&] {
    const auto& port = services.gateway->ports()[hop.port]->port();
    facts.way_by = port.name;
    return port.up.load(std::memory_order_relaxed) && port.present.load(std::memory_order_relaxed);
  };
  switch (hop.kind) {
    case forward::HopKind::no_route:
      facts.way = Facts::Way::no_route;
      return;
    case forward::HopKind::blackhole:
      facts.way = Facts::Way::blackhole;
      return;
    case forward::HopKind::local:
    case forward::HopKind::tunnel:
      facts.way = Facts::Way::good;
      return;
    case forward::HopKind::resolved:
      facts.way = by_port() ? Facts::Way::good : Facts::Way::port_down;
      return;
    case forward::HopKind::unresolved:
    case forward::HopKind::glean:
      break;
  }
  facts.way = by_port() ? Facts::Way::no_neighbour : Facts::Way::port_down;
  if (facts.way == Facts::Way::port_down) return;
  facts.is_on_link = hop.kind == forward::HopKind::glean || hop.gateway == peer;
  facts.way_by = net::to_string(facts.is_on_link ? peer : hop.gateway);
}

// The IKE SA that there is, of several the one that has come farthest; null: none. Those of a connection's
// peers may be many, so the one of a peer is found by its child.
const ike::IkeSa* farthest_of(const Services& services, const config::Connection& connection,
                              const IkeService::Peer* peer) {
  const auto& core = services.ike->core();
  if (peer != nullptr) {
    const auto report = services.sas->connection_report(peer->name);
    return report ? core.ike_sa_of_child(report->inbound_spi) : nullptr;
  }
  const ike::IkeSa* farthest = nullptr;
  for (const auto* sa : core.ike_sas_of(owner_of(connection)))
    if (sa->state() <= State::established &&
        (farthest == nullptr || step_of(sa->state()) > step_of(farthest->state())))
      farthest = sa;
  return farthest;
}

std::uint64_t packets_beside(const Services& services, const ike::IkeSa& sa, const std::string& connection) {
  std::uint64_t packets = 0;
  auto& store = services.gateway->sas();
  for (const auto& child : sa.children()) {
    const auto index = store.find(child.inbound_spi);
    if (child.configuration->name != connection && index != sa::no_sa)
      packets += store.inbound_total(index).packets;
  }
  return packets;
}

// By other connections that are up with the peer at that address, so its ESP of that form passes.
std::uint64_t packets_nearby(const Services& services, const net::Address& peer, const std::string& owner,
                             bool in_udp) {
  constexpr int most_looked_at = 64;  // in one go of the control loop
  auto& store = services.gateway->sas();
  std::uint64_t packets = 0;
  int looked_at = 0;
  for (const auto& other : services.ike->core().connections_of_peer(peer)) {
    if (other->name == owner) continue;
    for (const auto& child : other->children) {
      if (++looked_at > most_looked_at) return packets;
      const auto report = services.sas->connection_report(child.name);
      const auto index = report ? store.find(report->inbound_spi) : sa::no_sa;
      if (index != sa::no_sa && (store.inbound(index).encapsulation == sa::Encapsulation::udp) == in_udp)
        packets += report->inbound.packets;
    }
  }
  return packets;
}

// How far IKE is at the moment, or how the last attempt ended.
void add_ike(const Services& services, const config::Connection& connection, const IkeService::Peer* peer,
             Moment now, Facts& facts) {
  const auto& core = services.ike->core();
  const auto& owner = owner_of(connection);
  facts.is_terminated = services.ike->is_terminated(connection.name) && facts.state != Facts::State::up;
  const auto restarts = core.peer_restarts(owner);
  facts.peer_restarts = restarts.count;
  if (restarts.count != 0) facts.peer_restarted = seconds_since(restarts.last, now.steady);
  const auto* farthest = farthest_of(services, connection, peer);
  const auto failure = core.failure(owner, now.steady);
  const auto failed = services.ike->failure(connection.name);
  const auto note_failure = [&] {
    facts.ike = step_of(failure.state);
    facts.reason = failed;
    if (failure.is_unanswered)
      facts.trouble = Facts::Trouble::unanswered;
    else if (failure.lacks_room)
      facts.trouble = Facts::Trouble::no_room;
    else if (facts.ike != Facts::Ike::established)  // what was up has ended for another reason
      facts.trouble = Facts::Trouble::refused;
  };
  if (farthest == nullptr) {
    if (!failed.empty()) note_failure();
    return;
  }
  const auto& tally = farthest->our_request().tally();
  facts.ike = step_of(farthest->state());
  facts.requests = tally.requests;
  facts.repeats = tally.repeats;
  if (facts.ike == Facts::Ike::established) {
    if (farthest->our_request().is_under_way()) facts.tries = farthest->our_request().tries();
    facts.heard = seconds_since(farthest->last_heard(), now.steady);
    facts.beside = packets_beside(services, *farthest, connection.name);
    facts.trouble = trouble_of(farthest->child_failures().kind(connection.name));
    if (facts.trouble == Facts::Trouble::none && facts.state == Facts::State::up &&
        !farthest->refusal().empty())
      facts.trouble = trouble_of(farthest->refusal_kind());
    return;
  }
  // Of an attempt that has only begun, the one before tells more.
  if (!farthest->refusal().empty()) {
    facts.trouble = Facts::Trouble::refused;
    facts.reason = core.refusal(*farthest, now.steady);
  } else if (!failed.empty() && (facts.repeats < 2 || !failure.is_unanswered)) {
    note_failure();
  } else if (farthest->is_initiator() && facts.repeats >= 2) {
    facts.trouble = Facts::Trouble::unanswered;
  }
}

void add_traffic(const Services& services, const std::string& name, Moment now, Facts& facts) {
  const auto report = services.sas->connection_report(name);
  if (!report) return;
  facts.in.ever = report->inbound.packets;
  facts.out.ever = report->outbound.packets;
  facts.in.last = age_of(services, report->inbound.last_tsc);
  facts.out.last = age_of(services, report->outbound.last_tsc);
  facts.moves = report->peer_moves;
  if (report->peer_moves != 0) facts.moved = seconds_since(report->peer_moved.steady, now.steady);
  auto& store = services.gateway->sas();
  services.sas->visit(name, [&](const sa::SaReport& sa) {
    facts.has_expired |= !facts.negotiates && sa.state == "expired";
    if (sa.state != "active") return;
    if (sa.direction == sa::Direction::outbound) {
      facts.out.packets += sa.totals.packets;
      return;
    }
    facts.in.packets += sa.totals.packets;
    facts.up = std::max(facts.up.value_or(0), *seconds_since(sa.since.steady, now.steady));
    facts.replayed += sa.totals.of(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL);
    facts.late += sa.totals.of(Verdict::CD_IN_PKT_OUT_OF_WINDOW);
    facts.bad_icv += sa.totals.of(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION);
    for (const auto verdict : {Verdict::IN_V4_PKT_HIT_INVALID_SA, Verdict::IN_V6_PKT_HIT_INVALID_SA,
                               Verdict::IN_SA_ENCAP_MISMATCH})
      facts.mismatched += sa.totals.of(verdict);
    for (const auto verdict : {Verdict::IN_V4_POST_INPUT_POLICY_FAIL, Verdict::IN_V6_POST_INPUT_POLICY_FAIL})
      facts.outside_selectors += sa.totals.of(verdict);
    const auto& entry = store.inbound(sa.index);
    facts.in_udp |= entry.encapsulation == sa::Encapsulation::udp;
    // Manual keys may be older than this process, and their numbers with them.
    if (facts.negotiates) facts.top_sequence += entry.top.load(std::memory_order_relaxed);
    facts.arrived += sa.totals.packets;
    for (const auto& [reason, packets] : sa.totals.faults) facts.arrived += packets;
  });
}

}  // namespace

RecentEsp recent_esp(const Services& services) {
  constexpr std::size_t most_seen = 4'096, most_looked_up = 512;  // in one go of the control loop
  RecentEsp recent;
  const auto time = now().steady;
  const auto& handler = *services.invalid_spi;
  std::size_t seen = 0, looked_up = 0;
  // The most recent first, so that old ones need no look.
  handler.table().visit([&](const recovery::Flow& flow) {
    if (flow.last.steady < time - recovery::RecentCount::window || ++seen > most_seen ||
        looked_up == most_looked_up)
      return false;
    if (flow.kind == recovery::Class::stranger || flow.kind == recovery::Class::flood) return true;
    ++looked_up;
    if (const auto owner = handler.owner_of(flow); !owner.empty()) {
      auto& of_owner = recent.invalid[owner];
      of_owner.packets[static_cast<std::size_t>(flow.kind)] += flow.recent.value(time);
      of_owner.last = std::max(of_owner.last, flow.last.steady);
    }
    return true;
  });
  const auto growth = services.counters->history().growth(recovery::RecentCount::window);
  for (const auto verdict :
       {Verdict::IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED, Verdict::IN_US_V6_PKT_FOUND_IPSEC_NOT_ENABLED})
    recent.without_ipsec += growth.by.verdicts[index_of(verdict)];
  return recent;
}

recovery::Facts diagnosis_facts(const Services& services, const config::Connection& connection,
                                const IkeService::Peer* peer, const RecentEsp& recent) {
  const auto time = now();
  const auto& name = peer == nullptr ? connection.name : peer->name;
  Facts facts;
  const bool is_up = peer != nullptr && services.sas->current_outbound_spi(name) != 0;
  const auto standing = is_up ? Standing{"up", ""} : standing_of(services, connection);
  facts.state = standing.state == "up"           ? Facts::State::up
                : standing.state == "connecting" ? Facts::State::connecting
                                                 : Facts::State::down;
  facts.reason = standing.reason;
  facts.negotiates = connection.ike != nullptr;
  facts.peer = peer == nullptr ? remote_text(connection) : net::to_string(peer->address);
  facts.our_age_s =
      std::chrono::duration<double>(std::chrono::system_clock::now() - services.started).count();
  facts.was_before = services.ike->had_sas_before(connection.name);
  if (peer != nullptr)
    add_way(services, connection, peer->address, facts);
  else if (!connection.any_peer)
    add_way(services, connection, connection.remote, facts);
  if (connection.ike) add_ike(services, connection, peer, time, facts);
  add_traffic(services, name, time, facts);
  if (connection.ike && !connection.any_peer)
    facts.nearby = packets_nearby(services, connection.remote, owner_of(connection), facts.in_udp);
  if (const auto known = recent.invalid.find(name); known != recent.invalid.end()) {
    facts.invalid = known->second.packets;
    facts.invalid_last = seconds_since(known->second.last, time.steady);
  }
  facts.without_ipsec = recent.without_ipsec;
  return facts;
}

}  // namespace espgate::daemon
