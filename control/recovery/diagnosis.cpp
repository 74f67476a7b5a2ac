#include "control/recovery/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/recovery/findings.hpp"
#include "control/recovery/recent_count.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::recovery {
namespace {

using Trouble = Facts::Trouble;

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

// Or it did since the last of the trouble that can pass, and now nobody has anything to send.
bool has_passed(const Facts& facts) {
  const auto was_before = [&](const Age& trouble) { return !trouble || *trouble > *facts.in.last; };
  return is_working(facts) || (is_up(facts) && facts.in.last && was_before(facts.invalid_last) &&
                               was_before(facts.moved) && was_before(facts.peer_restarted));
}

bool ever_worked(const Facts& facts) {
  return facts.in.ever != 0;
}

void judge_way(const Facts& facts, Findings& findings) {
  using Way = Facts::Way;
  if (!facts.has_local_address && !is_working(facts))
    findings.add(sign::no_local_address, "the connection's local address is no address of this host");
  switch (facts.way) {
    case Way::unknown:
    case Way::good:
      return;
    case Way::port_down:
      return findings.add(sign::port_is_down,
                          fmt::format("port {}, by which {} is reached, is down", facts.way_by, facts.peer));
    case Way::no_route:
      return findings.add(sign::no_route, fmt::format("there is no route to {}", facts.peer));
    case Way::blackhole:
      return findings.add(sign::blackhole,
                          fmt::format("the route to {} is a blackhole or unreachable one", facts.peer));
    case Way::no_neighbour:
      break;
  }
  // Of a neighbour that nothing was sent to lately nothing is known, either.
  const bool is_asked = is_up(facts) ? is_within(facts.out.last, now_s) && !is_working(facts)
                                     : facts.ike != Facts::Ike::none || !facts.negotiates;
  if (!is_asked) return;
  findings.add(facts.is_on_link ? sign::neighbour_is_silent : sign::next_hop_is_silent,
               fmt::format("{} does not answer ARP or neighbour discovery", facts.way_by));
}

void judge_will(const Facts& facts, Findings& findings) {
  if (facts.is_terminated)
    findings.add(sign::by_operator, "an operator took it down");
  else if (facts.has_expired)
    findings.add(sign::key_is_over, facts.reason);
  else if (!facts.negotiates && !is_up(facts))
    findings.add(sign::manual_and_down, facts.reason);
  else if (facts.state == Facts::State::down && facts.ike == Facts::Ike::none)
    findings.add(sign::waits, facts.reason);
}

// Nothing came back to the first message.
void judge_silence(const Facts& facts, Findings& findings) {
  const auto evidence = facts.repeats == 0
                            ? fmt::format("{} did not answer IKE_SA_INIT at all", facts.peer)
                            : fmt::format("IKE_SA_INIT was sent {} times to {}, and nothing came back",
                                          facts.repeats + 1, facts.peer);
  const bool worked = ever_worked(facts);
  findings.add(worked ? sign::no_answer_now : sign::no_answer_ever, evidence);
  findings.add(worked ? sign::nobody_there_now : sign::nobody_there, evidence);
  if (worked) findings.add(sign::was_up_before, "it was up before");
}

void judge_negotiation(const Facts& facts, Findings& findings) {
  if (facts.is_terminated) return;
  const bool is_unanswered = facts.trouble == Trouble::unanswered;
  const bool is_refused = facts.trouble == Trouble::refused;
  if (facts.trouble == Trouble::no_room) return findings.add(sign::no_room_here, facts.reason);
  if (facts.trouble == Trouble::no_room_there) return findings.add(sign::no_room_there, facts.reason);
  if (facts.trouble == Trouble::fault) return findings.add(sign::not_installed, facts.reason);
  if (is_up(facts)) {
    if (is_refused) findings.add(sign::rekey_refused, facts.reason);
    return;
  }
  using Ike = Facts::Ike;
  switch (facts.ike) {
    case Ike::none:
      return;
    case Ike::greeting:
      if (is_unanswered) return judge_silence(facts, findings);
      if (is_refused) findings.add(sign::greeting_refused, facts.reason);
      return;
    case Ike::proving:
      if (is_unanswered)
        findings.add(sign::no_answer_to_auth,
                     "IKE_SA_INIT went through, and IKE_AUTH, which is longer, did not");
      else if (is_refused)
        findings.add(sign::proof_refused, facts.reason);
      return;
    case Ike::established:
      if (is_unanswered) {
        findings.add(sign::peer_fell_silent,
                     fmt::format("{} was there, and does not answer any more", facts.peer));
        findings.add(sign::ike_was_lost, "messages of IKE were not answered");
      } else if (is_refused) {
        findings.add(sign::child_refused, facts.reason);
      }
      return;
  }
}

// What we send goes out, and nothing at all comes in for it.
bool only_we_send(const Facts& facts) {
  constexpr std::uint64_t enough = 5;
  if (!is_up(facts) || facts.out.packets < enough || !is_within(facts.out.last, now_s)) return false;
  // What came and was not good, or came for other SPIs, tells more.
  const bool are_bad = facts.in.packets == 0 && facts.arrived != 0;
  const bool are_invalid = std::ranges::any_of(facts.invalid, [](auto packets) { return packets != 0; });
  if (are_bad || are_invalid) return false;
  return facts.in.packets != 0 ? !is_within(facts.in.last, silent_s) : !is_within(facts.up, now_s);
}

// That nobody there has anything to send, or a firewall: where this peer's ESP gets through, or goes in UDP
// by the ports that IKE made the SA by, nothing speaks for one.
void judge_one_way_traffic(const Facts& facts, Findings& findings) {
  constexpr double lately_heard_s = 60;
  constexpr unsigned tries_in_vain = 2;
  if (!only_we_send(facts)) return;
  if (facts.without_ipsec != 0)
    findings.add(sign::ipsec_is_off,
                 fmt::format("{} of ESP came in by a port where ipsec is off, in the last {} minutes",
                             counted(facts.without_ipsec, "packet"), RecentCount::window.count()));
  const bool is_heard = is_within(facts.heard, lately_heard_s);
  if (facts.negotiates && !is_heard && facts.tries >= tries_in_vain)
    return findings.add(
        sign::peer_does_not_answer,
        fmt::format("nothing comes in, IKE was heard {}, too, and a question was sent {} times",
                    ago(facts.heard), facts.tries));
  const auto heard = fmt::format("IKE was heard {}", ago(facts.heard));
  const bool goes_as_ike = facts.in_udp && facts.negotiates;
  const bool gets_through = ever_worked(facts) || facts.beside != 0 || facts.nearby != 0;
  if (!gets_through && !goes_as_ike) {
    findings.add(facts.in_udp ? sign::udp_esp_never_came : sign::esp_never_came,
                 fmt::format("{} packets went out, and none ever came in", facts.out.packets));
    if (is_heard)
      findings.add(sign::ike_gets_through,
                   "IKE gets through: it goes in UDP, and plain ESP does not; " + heard);
    return findings.add(
        is_heard ? sign::perhaps_as_meant : sign::perhaps_one_way,
        fmt::format("{} packets went out, and nothing tells whether the peer has anything to send",
                    facts.out.packets));
  }
  findings.add(sign::none_comes_in,
               fmt::format("{} packets went out, the last {}, and {}", facts.out.packets, ago(facts.out.last),
                           facts.in.last ? "the last one came in " + ago(facts.in.last) : "none came in"));
  if (ever_worked(facts))
    findings.add(sign::esp_came_before,
                 fmt::format("ESP got through: {} came in so far", counted(facts.in.ever, "packet")));
  if (facts.beside != 0)
    findings.add(sign::esp_comes_beside,
                 fmt::format("ESP of the peer's gets through: {} came in by other SAs of its IKE SA",
                             counted(facts.beside, "packet")));
  if (facts.nearby != 0)
    findings.add(sign::esp_comes_nearby,
                 fmt::format("ESP of the peer's gets through: {} came in by other connections with it",
                             counted(facts.nearby, "packet")));
  if (goes_as_ike)
    findings.add(sign::esp_goes_as_ike, fmt::format("ESP goes in UDP by the ports of IKE, and {}", heard));
  else if (is_heard)
    findings.add(sign::peer_is_there, "the peer is there: " + heard);
}

void judge_content(const Facts& facts, Findings& findings) {
  if (facts.bad_icv > 2 && facts.bad_icv > facts.in.packets) {
    findings.add(
        facts.negotiates ? sign::bad_icv : sign::bad_icv_of_manual_key,
        fmt::format("{} packets with a wrong ICV, and {} good ones", facts.bad_icv, facts.in.packets));
    if (facts.in.packets == 0) findings.add(sign::none_is_good, "so none that came in could be decrypted");
  }
  if (facts.outside_selectors != 0 && !is_working(facts))
    findings.add(
        sign::other_networks,
        fmt::format("{} packets of the peer's were for other networks than agreed", facts.outside_selectors));
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
    findings.add(sign::ike_repeats,
                 fmt::format("of {} messages of IKE, {} had to be sent again", facts.requests, facts.repeats),
                 share(facts.repeats, facts.requests + facts.repeats));
  if (facts.top_sequence >= enough_packets && facts.top_sequence > facts.arrived) {
    const auto lost = share(facts.top_sequence - facts.arrived, facts.top_sequence);
    if (lost >= much)
      findings.add(
          sign::numbers_missing,
          fmt::format("of the numbers that the peer gave its packets, {:.1f} of a hundred never came", lost),
          lost);
  }
  if (const auto late = share(facts.late, facts.in.packets);
      facts.in.packets >= enough_packets && late >= much)
    findings.add(sign::too_late,
                 fmt::format("{} came too late for the replay window", counted(facts.late, "packet")), late);
  if (const auto again = share(facts.replayed, facts.in.packets);
      facts.in.packets >= enough_packets && again >= much)
    findings.add(sign::came_twice, fmt::format("{} came twice", counted(facts.replayed, "packet")));
}

// "9 packets in the last 2 minutes came".
std::string came(std::uint64_t packets) {
  return fmt::format("{} in the last {} minutes came", counted(packets, "packet"),
                     RecentCount::window.count());
}

void judge_moves(const Facts& facts, Findings& findings) {
  if (const auto stray = of(facts, Class::peer_moved); stray != 0)
    findings.add(sign::from_elsewhere,
                 came(stray) + " with its SPI from elsewhere, where it is not followed");
  else if (facts.mismatched != 0 && !is_working(facts))
    findings.add(sign::does_not_fit,
                 fmt::format("{} packets with its SPI did not fit its address, port or encapsulation",
                             facts.mismatched));
  if (facts.moves != 0 && is_within(facts.moved, lately_s))
    findings.add(
        sign::peer_moved,
        fmt::format("the peer moved {}, the last time {}", counted(facts.moves, "time"), ago(facts.moved)),
        facts.moves);
}

void judge_restarts(const Facts& facts, Findings& findings) {
  constexpr double young_s = 60;
  if (facts.peer_restarts != 0 && is_within(facts.peer_restarted, lately_s))
    findings.add(
        sign::peer_began_anew,
        fmt::format("the peer started anew {}, by its token or INITIAL_CONTACT", ago(facts.peer_restarted)));
  if (const auto packets = of(facts, Class::before_restart); packets != 0)
    findings.add(sign::before_restart, came(packets) + " with SPIs of before this gateway restarted");
  const bool is_explained =
      is_up(facts) || (facts.trouble != Trouble::none && facts.trouble != Trouble::unanswered);
  if (facts.our_age_s < young_s && facts.was_before && !is_explained)
    findings.add(sign::we_began_anew,
                 fmt::format("this gateway started {:.0f} s ago, and it had SAs before", facts.our_age_s));
}

void judge_invalid_spis(const Facts& facts, Findings& findings) {
  if (const auto packets = of(facts, Class::never_issued); packets != 0)
    findings.add(facts.negotiates ? sign::never_issued : sign::never_configured,
                 came(packets) + " with SPIs that this gateway never gave out");
  if (const auto packets = of(facts, Class::just_rekeyed) + of(facts, Class::deleted); packets != 0)
    findings.add(sign::taken_back,
                 came(packets) + " with SPIs that were taken back, so the peer did not hear of it");
  if (const auto packets = of(facts, Class::expired); packets != 0)
    findings.add(facts.negotiates ? sign::past_lifetime : sign::past_keys_lifetime,
                 came(packets) + " for an SA past its lifetime");
  if (const auto packets = of(facts, Class::wrong_destination); packets != 0) {
    auto sign = facts.negotiates ? sign::routed_here : sign::configured_here;
    sign.remedy = remedy(Class::wrong_destination);
    findings.add(sign, came(packets) + " that were not meant for here");
  }
}

void judge_health(const Facts& facts, Findings& findings) {
  if (!is_up(facts)) return;
  const auto trouble = findings.heaviest();
  if (trouble == 100) return;
  findings.add({.cause = Cause::well, .weight = static_cast<double>(100 - trouble)},
               facts.in.packets == 0 && facts.out.packets == 0
                   ? std::string("its SAs are in place, and nothing was sent yet")
                   : fmt::format("its SAs are in place; {} in, the last {}, and {} out, the last {}",
                                 counted(facts.in.packets, "packet"), ago(facts.in.last), facts.out.packets,
                                 ago(facts.out.last)));
}

}  // namespace

std::vector<Finding> diagnose(const Facts& facts) {
  Findings findings(has_passed(facts));
  for (const auto judge : {judge_way, judge_will, judge_negotiation, judge_one_way_traffic, judge_content,
                           judge_loss, judge_moves, judge_restarts, judge_invalid_spis, judge_health})
    judge(facts, findings);
  // It is being brought up, and nothing speaks for trouble yet.
  if (findings.heaviest() == 0)
    findings.add(sign::is_negotiated, facts.reason.empty() ? "it is being negotiated" : facts.reason);
  return findings.take();
}

}  // namespace espgate::recovery
