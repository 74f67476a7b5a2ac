#include "control/recovery/diagnosis.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

using namespace espgate::recovery;
using State = Facts::State;
using Way = Facts::Way;
using Ike = Facts::Ike;
using Trouble = Facts::Trouble;

namespace {

// A connection that is up and carries traffic in both directions.
Facts healthy() {
  Facts facts;
  facts.peer = "192.0.2.2";
  facts.way = Way::good;
  facts.way_by = "outside";
  facts.ike = Ike::established;
  facts.requests = 10;
  facts.heard = 3;
  facts.in = {1'000, 5'000, 0.5};
  facts.out = {1'000, 5'000, 0.5};
  facts.up = 60;
  facts.top_sequence = 1'000;
  facts.arrived = 1'000;
  facts.our_age_s = 3'600;
  return facts;
}

// One that never was up.
Facts down(Ike ike, const char* reason) {
  Facts facts;
  facts.state = State::down;
  facts.reason = reason;
  facts.peer = "192.0.2.2";
  facts.way = Way::good;
  facts.ike = ike;
  facts.our_age_s = 3'600;
  return facts;
}

Facts with(Facts facts, const std::function<void(Facts&)>& change) {
  change(facts);
  return facts;
}

Facts invalid(Facts facts, Class kind, std::uint64_t packets) {
  facts.invalid[static_cast<std::size_t>(kind)] = packets;
  if (!facts.invalid_last) facts.invalid_last = 1;
  return facts;
}

struct Situation {
  const char* what;
  Facts facts;
  Cause likeliest;
  const char* evidence;  // within some piece of it
  unsigned least = 1;    // its weight
};

std::vector<Situation> cases() {
  const auto unanswered = [](Facts& f) { f.trouble = Trouble::unanswered; };
  const auto refused = [](Facts& f) { f.trouble = Trouble::refused; };
  const auto lacks_room = [](Facts& f) { f.trouble = Trouble::no_room; };
  const auto silent = [](Facts& f) { f.in = {0, 0, {}}, f.top_sequence = f.arrived = 0; };
  const auto manual = [](Facts& f) {
    f.negotiates = false;
    f.ike = Ike::none;
    f.top_sequence = 0;
    f.heard.reset();
  };
  std::vector<Situation> all{
      {"all well", healthy(), Cause::well, "1000 packets in, the last 0 s ago", 90},
      {"up, and nothing sent yet", with(healthy(), [](Facts& f) { f.in = f.out = {}; }), Cause::well,
       "nothing was sent yet", 90},
      {"terminated", with(down(Ike::none, "it was terminated"), [](Facts& f) { f.is_terminated = true; }),
       Cause::terminated, "operator", 90},
      {"passive", down(Ike::none, "the peer has not begun"), Cause::waiting, "has not begun"},
      {"just begun", with(down(Ike::greeting, ""), [](Facts& f) { f.state = State::connecting; }),
       Cause::waiting, "being negotiated"},
      {"proposals", with(down(Ike::greeting, "NO_PROPOSAL_CHOSEN (14)"), refused), Cause::configuration,
       "NO_PROPOSAL_CHOSEN", 90},
      {"a wrong PSK", with(down(Ike::proving, "AUTHENTICATION_FAILED"), refused), Cause::configuration,
       "AUTHENTICATION_FAILED", 90},
      {"selectors", with(down(Ike::established, "TS_UNACCEPTABLE"), refused), Cause::configuration,
       "TS_UNACCEPTABLE", 90},
      {"algorithms that show with the first rekey",
       with(healthy(),
            [](Facts& f) {
              f.trouble = Trouble::refused;
              f.reason = "its keys were not replaced: NO_PROPOSAL_CHOSEN";
            }),
       Cause::configuration, "NO_PROPOSAL_CHOSEN", 80},
      {"no room for its SAs",
       with(down(Ike::established, "all 10 inbound SAs are in use; raise limits.inbound-sas"), lacks_room),
       Cause::room, "raise limits.inbound-sas", 90},
      {"no room for its next SAs",
       with(healthy(),
            [](Facts& f) {
              f.trouble = Trouble::no_room;
              f.reason = "its keys were not replaced: there is no room";
            }),
       Cause::room, "no room", 90},
      {"too many IKE SAs", with(down(Ike::greeting, "limits.ike-sas"), lacks_room), Cause::room,
       "limits.ike-sas", 90},
      {"the peer takes no more SAs",
       with(down(Ike::established, "NO_ADDITIONAL_SAS (35)"),
            [](Facts& f) { f.trouble = Trouble::no_room_there; }),
       Cause::peers_room, "NO_ADDITIONAL_SAS", 90},
      {"the datapath does not take its SAs",
       with(down(Ike::established, "its inbound SA was not installed: 300 selectors"),
            [](Facts& f) { f.trouble = Trouble::fault, f.our_age_s = 5; }),
       Cause::fault, "300 selectors", 90},
      {"it ended, and is made again", down(Ike::established, "its lifetime is over"), Cause::waiting,
       "lifetime"},
      {"no answer, ever",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) { f.trouble = Trouble::unanswered, f.repeats = 3; }),
       Cause::firewall, "sent 4 times to 192.0.2.2", 60},
      {"no answer any more",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) { f.trouble = Trouble::unanswered, f.in.ever = 7; }),
       Cause::peer_down, "up before", 60},
      {"the peer died", with(down(Ike::established, "the peer does not answer any more"), unanswered),
       Cause::peer_down, "does not answer any more", 60},
      {"the peer died, on the link",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) {
              f.trouble = Trouble::unanswered;
              f.is_on_link = true;
              f.way = Way::no_neighbour;
              f.way_by = "192.0.2.2";
            }),
       Cause::peer_down, "does not answer ARP", 85},
      {"the next hop died",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) {
              f.trouble = Trouble::unanswered;
              f.way = Way::no_neighbour;
              f.way_by = "192.0.2.254";
            }),
       Cause::routing, "192.0.2.254 does not answer ARP", 75},
      {"IKE_AUTH is lost", with(down(Ike::proving, "no answer to IKE_AUTH"), unanswered), Cause::firewall,
       "IKE_AUTH", 70},
      {"the port is down",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) { f.trouble = Trouble::unanswered, f.way = Way::port_down, f.way_by = "outside"; }),
       Cause::port_down, "port outside", 95},
      {"no route",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) { f.trouble = Trouble::unanswered, f.way = Way::no_route; }),
       Cause::routing, "no route to 192.0.2.2", 90},
      {"not our address",
       with(down(Ike::greeting, "no answer"),
            [](Facts& f) { f.trouble = Trouble::unanswered, f.has_local_address = false; }),
       Cause::address, "no address of this host", 90},
      {"ESP is filtered from the first packet on", with(healthy(), silent), Cause::firewall,
       "none ever came in", 65},
      {"only we send, and the peer's ESP comes by another SA",
       with(healthy(), [&](Facts& f) { silent(f), f.beside = 7; }), Cause::one_way,
       "7 packets came in by other SAs", 55},
      {"nothing comes in any more, and the peer is there", with(healthy(), [](Facts& f) { f.in.last = 30; }),
       Cause::one_way, "the last one came in 30 s ago", 60},
      {"only we send, since the last rekey",
       with(healthy(),
            [](Facts& f) {
              f.in = {0, 5, 900}, f.top_sequence = f.arrived = 0;
            }),
       Cause::one_way, "5 packets came in so far", 60},
      {"only we send, in UDP", with(healthy(), [&](Facts& f) { silent(f), f.in_udp = true; }), Cause::one_way,
       "by the ports of IKE, and IKE was heard 3 s ago", 55},
      {"only we send, and the peer is not asked whether it is there",
       with(healthy(), [&](Facts& f) { silent(f), f.heard = 3'000; }), Cause::one_way,
       "whether the peer has anything to send", 50},
      {"only we send, in UDP, and the peer is not asked whether it is there",
       with(healthy(), [&](Facts& f) { silent(f), f.in_udp = true, f.heard = 3'000; }), Cause::one_way,
       "IKE was heard 50 min ago", 55},
      {"only we send, in UDP with manual keys",
       with(healthy(), [&](Facts& f) { manual(f), silent(f), f.in_udp = true; }), Cause::one_way,
       "whether the peer has anything to send", 50},
      {"only we send, with manual keys", with(healthy(), [&](Facts& f) { manual(f), silent(f); }),
       Cause::one_way, "whether the peer has anything to send", 50},
      {"only the peer sends",
       with(healthy(),
            [](Facts& f) {
              f.out = {0, 0, {}};
            }),
       Cause::well, "", 90},
      {"its ESP comes by another port", with(healthy(), [&](Facts& f) { silent(f), f.without_ipsec = 9; }),
       Cause::configuration, "9 packets of ESP came in by a port where ipsec is off, in the last 2 minutes",
       70},
      {"packets come, and none is good",
       with(healthy(), [&](Facts& f) { silent(f), f.arrived = f.bad_icv = 70; }), Cause::configuration,
       "none that came in", 60},
      {"the peer is gone, and liveness has not found out",
       with(healthy(),
            [](Facts& f) {
              f.in.last = 200;
              f.heard = 200;
              f.tries = 3;
            }),
       Cause::peer_down, "IKE was heard 3 min ago", 60},
      {"wrong keys",
       with(healthy(),
            [&](Facts& f) {
              manual(f);
              silent(f);
              f.bad_icv = 50;
            }),
       Cause::configuration, "50 packets with a wrong ICV", 85},
      {"manual keys, and SPIs that differ",
       invalid(with(healthy(), [&](Facts& f) { manual(f), silent(f); }), Class::never_issued, 20),
       Cause::configuration, "never gave out", 80},
      {"manual keys, and the same file on both sides",
       invalid(with(healthy(), [&](Facts& f) { manual(f), silent(f), f.out.packets = 0; }),
               Class::wrong_destination, 20),
       Cause::configuration, "not meant for here", 60},
      {"a manual key is over",
       with(down(Ike::none, "the hard lifetime of its inbound SA is over: change the key"),
            [](Facts& f) { f.negotiates = false, f.has_expired = true; }),
       Cause::expired, "hard lifetime", 90},
      {"a fifth of all packets is lost", with(healthy(), [](Facts& f) { f.top_sequence = 1'250; }),
       Cause::loss, "20.0 of a hundred never came", 70},
      {"loss of IKE and of packets",
       with(healthy(),
            [](Facts& f) {
              f.top_sequence = 1'100;
              f.requests = 10;
              f.repeats = 5;
            }),
       Cause::loss, "5 had to be sent again", 70},
      {"reordering", with(healthy(), [](Facts& f) { f.late = 100; }), Cause::loss,
       "too late for the replay window", 50},
      {"a NAT that forgets",
       with(healthy(), [](Facts& f) { f.in.last = 30, f.out.last = 8, f.moves = 6, f.moved = 20; }),
       Cause::nat, "moved 6 times", 60},
      {"a move that is not followed",
       invalid(with(healthy(), [](Facts& f) { f.in.last = 30, f.mismatched = 20, f.out.last = 8; }),
               Class::peer_moved, 20),
       Cause::nat, "2 minutes came with its SPI from elsewhere", 80},
      {"the peer restarted",
       with(down(Ike::greeting, ""),
            [](Facts& f) {
              f.state = State::connecting;
              f.peer_restarts = 1;
              f.peer_restarted = 4;
            }),
       Cause::peer_restart, "started anew 4 s ago", 60},
      {"we restarted",
       invalid(with(down(Ike::greeting, ""),
                    [](Facts& f) { f.state = State::connecting, f.our_age_s = 5, f.was_before = true; }),
               Class::before_restart, 9),
       Cause::our_restart, "before this gateway restarted", 80},
      {"all of that is over",
       invalid(with(healthy(),
                    [](Facts& f) {
                      f.peer_restarts = 2;
                      f.peer_restarted = 100;
                      f.moves = 1;
                      f.moved = 100;
                    }),
               Class::before_restart, 9),
       Cause::well, "its SAs are in place", 60},
      {"that is over, and nobody has anything to send since",
       invalid(with(healthy(), [](Facts& f) { f.in.last = f.out.last = 40, f.invalid_last = 41; }),
               Class::before_restart, 9),
       Cause::well, "its SAs are in place", 60},
      {"that is not over yet",
       invalid(with(healthy(), [](Facts& f) { f.in.last = f.out.last = 40, f.invalid_last = 39; }),
               Class::before_restart, 9),
       Cause::our_restart, "before this gateway restarted", 70},
  };
  return all;
}

}  // namespace

TEST_CASE("each situation has its cause, and the evidence says why") {
  for (const auto& one : cases()) {
    const auto findings = diagnose(one.facts);
    CAPTURE(one.what);
    REQUIRE_FALSE(findings.empty());
    const auto& first = findings.front();
    std::string evidence;
    for (const auto& piece : first.evidence) evidence += piece + "\n";
    CAPTURE(name(first.cause), first.weight, evidence);
    CHECK(first.cause == one.likeliest);
    CHECK_THAT(evidence, Catch::Contains(one.evidence));
    CHECK(first.weight >= one.least);
    CHECK_FALSE(first.remedy.empty());
  }
}

TEST_CASE("whether nothing came in because of a firewall is told by what else gets through") {
  struct Side {
    const char* what;
    std::function<void(Facts&)> change;
    unsigned firewall, one_way;
    const char* remedy = "";  // within the firewall's
  };
  const Side sides[] = {
      {"plain, IKE is heard", [](Facts&) {}, 70, 40, "protocol 50"},
      {"plain, IKE was heard long ago", [](Facts& f) { f.heard = 3'000; }, 45, 55, "protocol 50"},
      {"plain, manual keys", [](Facts& f) { f.negotiates = false, f.heard.reset(); }, 45, 55, "protocol 50"},
      {"UDP, manual keys", [](Facts& f) { f.negotiates = false, f.heard.reset(), f.in_udp = true; }, 45, 55,
       "UDP port 4500"},
      {"UDP, IKE is heard", [](Facts& f) { f.in_udp = true; }, 0, 59},
      {"UDP, IKE was heard long ago", [](Facts& f) { f.in_udp = true, f.heard = 3'000; }, 0, 59},
      {"plain, and another SA of the peer's carries", [](Facts& f) { f.beside = 7; }, 0, 63},
      {"plain, and another connection with the peer carries", [](Facts& f) { f.nearby = 7; }, 0, 63},
      {"plain, and the SA before this one carried", [](Facts& f) { f.in.ever = 5, f.in.last = 900; }, 0, 63},
      {"UDP, and the SA before this one carried",
       [](Facts& f) { f.in.ever = 5, f.in.last = 900, f.in_udp = true; }, 0, 69},
  };
  for (const auto& side : sides) {
    auto facts = healthy();
    facts.in = {};
    facts.top_sequence = facts.arrived = 0;
    side.change(facts);
    std::array<unsigned, cause_count> weights{};
    std::string remedy;
    for (const auto& finding : diagnose(facts)) {
      weights[static_cast<std::size_t>(finding.cause)] = finding.weight;
      if (finding.cause == Cause::firewall) remedy = finding.remedy;
    }
    CAPTURE(side.what);
    CHECK(weights[static_cast<std::size_t>(Cause::firewall)] == side.firewall);
    CHECK(weights[static_cast<std::size_t>(Cause::one_way)] == side.one_way);
    CHECK_THAT(remedy, Catch::Contains(side.remedy));
  }
}

TEST_CASE("that this gateway started just now is a cause of what had SAs before, and is not up") {
  auto facts = down(Ike::greeting, "");
  facts.our_age_s = 5;
  const auto is_named = [&] {
    return std::ranges::count(diagnose(facts), Cause::our_restart, &Finding::cause) != 0;
  };
  CHECK_FALSE(is_named());
  facts.was_before = true;
  CHECK(is_named());
  facts.state = State::up;
  CHECK_FALSE(is_named());
  facts = down(Ike::greeting, "");
  facts.was_before = true;
  CHECK_FALSE(is_named());
}

TEST_CASE("findings come by weight, each cause once, none above 100") {
  for (const auto& one : cases()) {
    const auto findings = diagnose(one.facts);
    CAPTURE(one.what);
    for (std::size_t i = 0; i < findings.size(); ++i) {
      CHECK(findings[i].weight >= 1);
      CHECK(findings[i].weight <= 100);
      if (i > 0) CHECK(findings[i - 1].weight >= findings[i].weight);
      for (std::size_t j = 0; j < i; ++j) CHECK(findings[i].cause != findings[j].cause);
    }
  }
}

TEST_CASE("more evidence for a cause makes it surer") {
  auto facts = healthy();
  facts.top_sequence = 1'100;
  const auto few = diagnose(facts);
  facts.repeats = 5;
  const auto more = diagnose(facts);
  const auto weight_of = [](const std::vector<Finding>& findings) {
    for (const auto& finding : findings)
      if (finding.cause == Cause::loss) return finding.weight;
    return 0u;
  };
  CHECK(weight_of(more) > weight_of(few));
}

TEST_CASE("each cause has a name of its own") {
  for (std::size_t i = 0; i < cause_count; ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(name(static_cast<Cause>(i)) != name(static_cast<Cause>(j)));
}
