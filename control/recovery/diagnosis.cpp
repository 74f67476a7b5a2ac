#include "control/recovery/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/recovery/findings.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::recovery {
namespace {

constexpr double lately_s = 600;
constexpr double now_s = 5;      // traffic that goes on
constexpr double silent_s = 10;  // and that has ended

bool is_within(const Age& age, double seconds) {
  return age && *age <= seconds;
}

std::string ago(const Age& age) {
  if (!age) return "never";
  if (*age < 120) return fmt::format("{:.0f} s ago", *age);
  return fmt::format("{:.0f} min ago", *age / 60);
}

std::uint64_t of(const Facts& facts, Class kind) {
  return facts.invalid[static_cast<std::size_t>(kind)];
}

bool is_up(const Facts& facts) {
  return facts.state == Facts::State::up;
}

// It carries traffic in both directions: what went before is over.
bool is_working(const Facts& facts) {
  return is_up(facts) && is_within(facts.in.last, silent_s);
}

double if_not_over(const Facts& facts, double weight) {
  return is_working(facts) ? 0.3 * weight : weight;
}

bool ever_worked(const Facts& facts) {
  return facts.in.ever != 0;
}

void judge_way(const Facts& facts, Findings& findings) {
  using Way = Facts::Way;
  if (!facts.has_local_address && !is_working(facts))
    findings.add(Cause::address, 95, "the connection's local address is no address of this host");
  switch (facts.way) {
    case Way::unknown:
    case Way::good:
      return;
    case Way::port_down:
      return findings.add(Cause::port_down, 96,
                          fmt::format("port {}, by which {} is reached, is down", facts.way_by, facts.peer));
    case Way::no_route:
      return findings.add(Cause::routing, 92, fmt::format("there is no route to {}", facts.peer),
                          "add a route to it (`ip route add`, or routes of the configuration)");
    case Way::blackhole:
      return findings.add(Cause::routing, 92,
                          fmt::format("the route to {} is a blackhole or unreachable one", facts.peer));
    case Way::no_neighbour:
      break;
  }
  // Of a neighbour that nothing was sent to lately nothing is known, either.
  const bool is_asked = is_up(facts) ? is_within(facts.out.last, now_s) && !is_working(facts)
                                     : facts.ike != Facts::Ike::none || !facts.negotiates;
  if (!is_asked) return;
  findings.add(facts.is_on_link ? Cause::peer_down : Cause::routing, 80,
               fmt::format("{} does not answer ARP or neighbour discovery", facts.way_by));
}

void judge_will(const Facts& facts, Findings& findings) {
  if (facts.is_terminated)
    findings.add(Cause::terminated, 97, "an operator took it down");
  else if (facts.has_expired)
    findings.add(Cause::expired, 95, facts.reason);
  else if (!facts.negotiates && !is_up(facts))
    findings.add(Cause::configuration, 80, facts.reason);
  else if (facts.state == Facts::State::down && facts.ike == Facts::Ike::none)
    findings.add(Cause::waiting, 60, facts.reason);
}

// Nothing came back to the first message.
void judge_silence(const Facts& facts, Findings& findings) {
  const auto evidence = facts.repeats == 0
                            ? fmt::format("{} did not answer IKE_SA_INIT at all", facts.peer)
                            : fmt::format("IKE_SA_INIT was sent {} times to {}, and nothing came back",
                                          facts.repeats + 1, facts.peer);
  const bool worked = ever_worked(facts);
  findings.add(
      Cause::firewall, worked ? 40 : 65, evidence,
      "let UDP port 500 through to the peer and back, and 4500 for NATs; see whether the address is right");
  findings.add(Cause::peer_down, worked ? 60 : 50, evidence);
  if (worked) findings.add(Cause::peer_down, 20, "it was up before");
}

void judge_negotiation(const Facts& facts, Findings& findings) {
  if (is_up(facts) || facts.is_terminated) return;
  using Ike = Facts::Ike;
  switch (facts.ike) {
    case Ike::none:
      return;
    case Ike::greeting:
      if (facts.is_unanswered) return judge_silence(facts, findings);
      if (facts.is_refused)
        findings.add(Cause::configuration, 90, facts.reason,
                     "make the algorithms alike: `show proposals` and `explain` tell what each side offers");
      return;
    case Ike::proving:
      if (facts.is_unanswered)
        findings.add(Cause::firewall, 75, "IKE_SA_INIT went through, and IKE_AUTH, which is longer, did not",
                     "let UDP port 4500 and fragments through, or lower fragment-bytes");
      else if (facts.is_refused)
        findings.add(
            Cause::configuration, 92, facts.reason,
            "make keys, certificates and identities (local-id, remote-id) fit on both sides; the peer's "
            "log may say more");
      return;
    case Ike::established:
      if (facts.is_unanswered) {
        findings.add(Cause::peer_down, 70,
                     fmt::format("{} was there, and does not answer any more", facts.peer));
        findings.add(Cause::loss, 30, "messages of IKE were not answered");
      } else if (facts.is_refused) {
        findings.add(Cause::configuration, 90, facts.reason,
                     "make the networks (or selectors), the mode and the algorithms of the traffic alike");
      }
      return;
  }
}

void judge_one_way_traffic(const Facts& facts, Findings& findings) {
  constexpr std::uint64_t enough = 5;
  if (!is_up(facts) || facts.out.packets < enough || !is_within(facts.out.last, now_s)) return;
  const bool has_come = facts.in.packets != 0;
  const bool is_silent = has_come ? !is_within(facts.in.last, silent_s) : !is_within(facts.up, now_s);
  if (!is_silent) return;
  const auto remedy = facts.in_udp
                          ? std::string()
                          : "let IP protocol 50 through on the way, or set encapsulation = \"udp\", which "
                            "passes where IKE does";
  findings.add(Cause::firewall, has_come ? 50 : 65,
               has_come ? fmt::format("{} packets went out, and the last one came in {}", facts.out.packets,
                                      ago(facts.in.last))
                        : fmt::format("{} packets went out, and none ever came in", facts.out.packets),
               remedy);
  if (is_within(facts.heard, 60))
    findings.add(Cause::firewall, 30, fmt::format("IKE gets through: it was heard {}", ago(facts.heard)),
                 remedy);
  else if (facts.negotiates && facts.repeats != 0)
    findings.add(Cause::peer_down, 60, fmt::format("IKE was heard {}, too", ago(facts.heard)));
}

void judge_content(const Facts& facts, Findings& findings) {
  if (facts.bad_icv > 2 && facts.bad_icv > facts.in.packets)
    findings.add(
        Cause::configuration, facts.negotiates ? 40 : 88,
        fmt::format("{} packets with a wrong ICV, and {} good ones", facts.bad_icv, facts.in.packets),
        "compare suite and key of both sides; the keys of the two directions may be swapped");
  if (facts.outside_selectors != 0 && !is_working(facts))
    findings.add(
        Cause::configuration, 45,
        fmt::format("{} packets of the peer's were for other networks than agreed", facts.outside_selectors),
        "make the networks (or selectors) alike on both sides");
}

// In hundredths of what there should be.
double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

void judge_loss(const Facts& facts, Findings& findings) {
  constexpr std::uint64_t enough_requests = 4, enough_packets = 100;
  constexpr double much = 1;  // of a hundred
  if (facts.ike == Facts::Ike::established && facts.repeats >= 2 &&
      facts.requests + facts.repeats >= enough_requests)
    findings.add(
        Cause::loss, std::min(60.0, 2 * share(facts.repeats, facts.requests + facts.repeats)),
        fmt::format("of {} messages of IKE, {} had to be sent again", facts.requests, facts.repeats));
  if (facts.top_sequence >= enough_packets && facts.top_sequence > facts.arrived) {
    const auto lost = share(facts.top_sequence - facts.arrived, facts.top_sequence);
    if (lost >= much)
      findings.add(
          Cause::loss, std::min(85.0, 40 + 3 * lost),
          fmt::format("of the numbers that the peer gave its packets, {:.1f} of a hundred never came", lost));
  }
  if (const auto late = share(facts.late, facts.in.packets);
      facts.in.packets >= enough_packets && late >= much)
    findings.add(Cause::loss, std::min(60.0, 25 + 3 * late),
                 fmt::format("{} came too late for the replay window", counted(facts.late, "packet")),
                 "raise replay-window, or find what reorders packets on the way");
  if (const auto again = share(facts.replayed, facts.in.packets);
      facts.in.packets >= enough_packets && again >= much)
    findings.add(Cause::loss, 25, fmt::format("{} came twice", counted(facts.replayed, "packet")),
                 "find what repeats packets on the way, or who plays them back");
}

void judge_moves(const Facts& facts, Findings& findings) {
  const auto stray = of(facts, Class::peer_moved);
  if (stray != 0)
    findings.add(Cause::nat, if_not_over(facts, 85),
                 fmt::format("{} with its SPI came from elsewhere, where it is not followed",
                             counted(stray, "packet")));
  else if (facts.mismatched != 0 && !is_working(facts))
    findings.add(Cause::nat, 60,
                 fmt::format("{} packets with its SPI did not fit its address, port or encapsulation",
                             facts.mismatched));
  if (facts.moves != 0 && is_within(facts.moved, lately_s))
    findings.add(Cause::nat, if_not_over(facts, std::min(70.0, 20 + 10.0 * facts.moves)),
                 fmt::format("the peer moved {} times, the last time {}", facts.moves, ago(facts.moved)),
                 "a nat-keepalive shorter than the NAT's memory keeps it where it is");
}

void judge_restarts(const Facts& facts, Findings& findings) {
  constexpr double young_s = 60;
  if (facts.peer_restarts != 0 && is_within(facts.peer_restarted, lately_s))
    findings.add(
        Cause::peer_restart, if_not_over(facts, 60),
        fmt::format("the peer started anew {}, by its token or INITIAL_CONTACT", ago(facts.peer_restarted)));
  const bool is_young = facts.our_age_s < young_s;
  if (const auto packets = of(facts, Class::before_restart); packets != 0)
    findings.add(
        Cause::our_restart, if_not_over(facts, 75),
        fmt::format("{} came with SPIs of before this gateway restarted", counted(packets, "packet")));
  if (is_young && !is_up(facts) && !facts.is_refused)
    findings.add(Cause::our_restart, 30, fmt::format("this gateway started {:.0f} s ago", facts.our_age_s));
}

void judge_invalid_spis(const Facts& facts, Findings& findings) {
  if (const auto packets = of(facts, Class::never_issued); packets != 0) {
    const auto evidence =
        fmt::format("{} came with SPIs that this gateway never gave out", counted(packets, "packet"));
    if (facts.negotiates)
      findings.add(Cause::peer_restart, if_not_over(facts, 40), evidence);
    else
      findings.add(Cause::configuration, if_not_over(facts, 85), evidence,
                   "the inbound SPI here must be the peer's outbound SPI");
  }
  const auto stale = of(facts, Class::just_rekeyed) + of(facts, Class::deleted);
  if (stale != 0)
    findings.add(Cause::loss, if_not_over(facts, 35),
                 fmt::format("{} came with SPIs that were taken back, so the peer did not hear of it",
                             counted(stale, "packet")));
  if (const auto packets = of(facts, Class::expired); packets != 0)
    findings.add(Cause::expired, if_not_over(facts, facts.negotiates ? 30 : 80),
                 fmt::format("{} came for an SA past its lifetime", counted(packets, "packet")));
  if (const auto packets = of(facts, Class::wrong_destination); packets != 0)
    findings.add(facts.negotiates ? Cause::routing : Cause::configuration, if_not_over(facts, 65),
                 fmt::format("{} packets came that were not meant for here", packets),
                 std::string(remedy(Class::wrong_destination)));
}

void judge_health(const Facts& facts, Findings& findings) {
  if (!is_up(facts)) return;
  const auto trouble = findings.heaviest();
  if (trouble == 100) return;
  findings.add(
      Cause::well, 100 - trouble,
      facts.in.packets == 0 && facts.out.packets == 0
          ? std::string("its SAs are in place, and nothing was sent yet")
          : fmt::format("its SAs are in place; {} packets in, the last {}, and {} out, the last {}",
                        facts.in.packets, ago(facts.in.last), facts.out.packets, ago(facts.out.last)));
}

}  // namespace

std::vector<Finding> diagnose(const Facts& facts) {
  Findings findings;
  for (const auto judge : {judge_way, judge_will, judge_negotiation, judge_one_way_traffic, judge_content,
                           judge_loss, judge_moves, judge_restarts, judge_invalid_spis, judge_health})
    judge(facts, findings);
  // It is being brought up, and nothing speaks for trouble yet.
  if (findings.heaviest() == 0)
    findings.add(Cause::waiting, 30, facts.reason.empty() ? "it is being negotiated" : facts.reason,
                 "nothing, for some seconds");
  return findings.take();
}

}  // namespace espgate::recovery
