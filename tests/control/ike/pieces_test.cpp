// Cookies, fragments, narrowing, NAT detection, deadlines, failures of children: each by itself.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <numeric>

#include "control/ike/child_failures.hpp"
#include "control/ike/cookies.hpp"
#include "control/ike/deadlines.hpp"
#include "control/ike/fragments.hpp"
#include "control/ike/narrowing.hpp"
#include "control/ike/nat_detection.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

Endpoint at(std::string_view address, std::uint16_t port = 500) {
  return {*net::parse_address(address), port};
}

RandomSource counting() {
  return [next = std::uint8_t{0}](std::span<std::uint8_t> bytes) mutable {
    for (auto& byte : bytes) byte = next++;
  };
}

SelectorSide with(std::string_view range, std::optional<std::uint8_t> protocol, net::PortRange ports) {
  return {*net::parse_range(range), protocol, ports};
}

constexpr net::PortRange any_port{};

}  // namespace

TEST_CASE("a cookie is good for who got it, for a while, and for nobody else") {
  Cookies cookies(counting());
  const std::vector<std::uint8_t> nonce(32, 7), other(32, 8);
  const auto from = at("192.0.2.1");
  const auto cookie = cookies.make(5, nonce, from, 0s);
  CHECK(cookie.size() <= 64);
  CHECK(cookies.verify(cookie, 5, nonce, from, 1s));
  CHECK_FALSE(cookies.verify(cookie, 6, nonce, from, 1s));
  CHECK_FALSE(cookies.verify(cookie, 5, other, from, 1s));
  CHECK_FALSE(cookies.verify(cookie, 5, nonce, at("192.0.2.2"), 1s));
  CHECK_FALSE(cookies.verify(cookie, 5, nonce, at("192.0.2.1", 501), 1s));
  CHECK_FALSE(cookies.verify({}, 5, nonce, from, 1s));
  CHECK_FALSE(cookies.verify(Bytes(cookie).first(5), 5, nonce, from, 1s));
  CHECK(cookies.verify(cookie, 5, nonce, from, Cookies::life + 1s));
  CHECK_FALSE(cookies.verify(cookie, 5, nonce, from, 2 * Cookies::life + 1s));
  Cookies later(counting());
  CHECK_FALSE(later.verify(cookie, 6, nonce, from, 1s));
}

TEST_CASE("parts become a message in any order, once each (RFC 7383 2.6)") {
  Fragments fragments;
  constexpr std::size_t most = 65'535;
  const auto part = [](std::uint16_t number, std::uint16_t total) {
    return EncryptedFragment{number == 1 ? PayloadType::id_initiator : PayloadType::none, number, total, {}};
  };
  CHECK_FALSE(fragments.add(1, part(3, 3), {5}, most));
  CHECK_FALSE(fragments.wants(1, part(3, 3)));
  CHECK_FALSE(fragments.add(1, part(1, 3), {1, 2}, most));
  const auto whole = fragments.add(1, part(2, 3), {3, 4}, most);
  REQUIRE(whole);
  CHECK(whole->first == PayloadType::id_initiator);
  CHECK(whole->bytes == std::vector<std::uint8_t>{1, 2, 3, 4, 5});

  SECTION("another message's parts start anew") {
    CHECK_FALSE(fragments.add(2, part(1, 2), {1}, most));
    CHECK_FALSE(fragments.add(3, part(2, 2), {9}, most));
    CHECK(fragments.add(3, part(1, 2), {8}, most)->bytes == std::vector<std::uint8_t>{8, 9});
  }
  SECTION("a larger total starts anew, a smaller one is old") {
    CHECK_FALSE(fragments.add(2, part(1, 2), {1}, most));
    CHECK_FALSE(fragments.wants(2, part(1, 1)));
    CHECK_FALSE(fragments.add(2, part(1, 3), {1}, most));
    CHECK_FALSE(fragments.wants(2, part(2, 2)));
    CHECK_FALSE(fragments.add(2, part(2, 3), {2}, most));
    CHECK(fragments.add(2, part(3, 3), {3}, most)->bytes == std::vector<std::uint8_t>{1, 2, 3});
  }
  SECTION("too many or too much is refused") {
    CHECK_FALSE(fragments.wants(2, part(1, Fragments::most_parts + 1)));
    CHECK_FALSE(fragments.add(2, part(1, 3), std::vector<std::uint8_t>(40'000), most));
    CHECK_FALSE(fragments.add(2, part(2, 3), std::vector<std::uint8_t>(40'000), most));
    CHECK_FALSE(fragments.add(2, part(3, 3), {1}, most));
  }
}

TEST_CASE("selectors are narrowed to what both allow (RFC 7296 2.9)") {
  const std::vector<SelectorSide> ours{side("10.1.0.0/16"), with("10.2.0.0/16", 6, {443, 443})};
  const auto narrowed = [&](std::vector<SelectorSide> offered) {
    return narrow({offered, false}, ours).sides;
  };
  CHECK(narrowed({side("0.0.0.0/0")}) == ours);
  CHECK(narrowed({side("10.1.2.0/24")}) == std::vector{side("10.1.2.0/24")});
  CHECK(narrowed({with("10.0.0.0/8", 6, {1, 443})}) ==
        std::vector{with("10.1.0.0/16", 6, {1, 443}), with("10.2.0.0/16", 6, {443, 443})});
  CHECK(narrowed({with("10.2.0.0/16", 17, any_port)}).empty());
  CHECK(narrowed({with("10.2.0.0/16", 6, {80, 80})}).empty());
  CHECK(narrowed({side("192.0.2.0/24")}).empty());
  CHECK(narrowed({side("::/0")}).empty());
  CHECK(narrowed({with("10.1.0.0/16", 6, {0xffff, 0})}).empty());
  // What lies within another is not said twice.
  CHECK(narrowed({side("10.1.2.0/24"), side("10.1.0.0/16")}) == std::vector{side("10.1.0.0/16")});
  CHECK(narrow({std::vector(300, side("10.1.0.0/16")), false}, ours).sides.size() == 1);
}

TEST_CASE("an answer's selectors must lie within the offer") {
  const std::vector<SelectorSide> offered{with("10.1.0.0/16", 6, {1, 100})};
  CHECK(is_within({{with("10.1.2.0/24", 6, {5, 5})}, false}, offered));
  CHECK_FALSE(is_within({{with("10.0.0.0/8", 6, {5, 5})}, false}, offered));
  CHECK_FALSE(is_within({{with("10.1.0.0/16", {}, {5, 5})}, false}, offered));
  CHECK_FALSE(is_within({{with("10.1.0.0/16", 6, {5, 101})}, false}, offered));
  CHECK_FALSE(is_within({{}, false}, offered));
  CHECK_FALSE(is_within({{with("10.1.2.0/24", 6, {5, 5})}, true}, offered));
}

TEST_CASE("both sides' selectors make pairs that fit") {
  const TrafficSelectors ours{{side("10.1.0.0/16"), side("2001:db8:1::/48")}, false};
  const TrafficSelectors theirs{{side("10.2.0.0/16"), side("2001:db8:2::/48")}, false};
  const auto made = pairs(ours, theirs);
  REQUIRE(made);
  CHECK(made->size() == 2);
  CHECK_FALSE(pairs({{side("10.1.0.0/16")}, false}, {{side("2001:db8:2::/48")}, false}));
  const auto ports = pairs({{with("10.1.0.0/16", 6, {443, 443})}, false}, {{side("10.2.0.0/16")}, false});
  REQUIRE(ports);
  CHECK(ports->front().protocol == 6);
  CHECK(ports->front().local_ports == net::PortRange{443, 443});
  // Too many for one SA.
  std::vector<SelectorSide> many;
  for (int i = 0; i < 20; ++i) many.push_back(side("10.0.0." + std::to_string(i)));
  CHECK_FALSE(pairs({many, false}, {many, false}));
}

TEST_CASE("a NAT shows by hashes that do not match (RFC 7296 2.23)") {
  const Spis spis{1, 0};
  const auto here = at("192.0.2.1"), there = at("198.51.100.7");
  const auto source = nat_hash(spis, there), destination = nat_hash(spis, here);
  const auto of = [&](Bytes from, Bytes to, const Endpoint& seen_from, const Endpoint& seen_to) {
    Payloads payloads;
    payloads.notifies = {{NotifyType::nat_detection_source_ip, from},
                         {NotifyType::nat_detection_destination_ip, to}};
    return detect_nat(payloads, spis, seen_from, seen_to);
  };
  CHECK_FALSE(of(source, destination, there, here).any());
  CHECK(of(source, destination, there, here).peer_knows);
  CHECK(of(source, destination, at("198.51.100.7", 1024), here).peer_is_behind);
  CHECK(of(source, destination, there, at("10.0.0.1")).we_are_behind);
  // Of another length it says nothing.
  CHECK_FALSE(of(Bytes(source).first(19), destination, there, here).peer_knows);
  CHECK_FALSE(of({}, {}, there, here).peer_knows);
}

TEST_CASE("the earliest of many deadlines is found, and each SA has one") {
  Deadlines deadlines;
  CHECK(deadlines.next() == never);
  CHECK(deadlines.due(1h) == 0);
  for (SaId sa = 1; sa <= 1'000; ++sa) deadlines.set(sa, std::chrono::seconds(2'000 - sa));
  CHECK(deadlines.next() == 1'000s);
  CHECK(deadlines.due(999s) == 0);
  CHECK(deadlines.due(1'000s) == 1'000);
  deadlines.set(1'000, 5'000s);
  CHECK(deadlines.due(1'001s) == 999);
  deadlines.set(999, never);
  CHECK(deadlines.next() == 1'002s);
  deadlines.set(7, 1s);
  CHECK(deadlines.due(1s) == 7);
}

TEST_CASE("more selectors than an SA can have are narrowed to as many as it can") {
  TrafficSelectors local, remote;
  std::vector<SelectorSide> ours;
  for (int i = 0; i < 255; ++i) {
    local.sides.push_back(side(fmt::format("10.1.{}.0/24", i)));
    remote.sides.push_back(side(fmt::format("10.2.{}.0/24", i)));
    ours.push_back(side(fmt::format("10.1.{}.1", i)));
  }
  const auto narrowed = narrow(local, ours);
  CHECK(narrowed.sides.size() == 255);
  CHECK_FALSE(pairs(local, remote));
  const auto fitting = narrow_to_pairs(local, remote);
  REQUIRE(fitting);
  CHECK(fitting->size() > 200);
  CHECK(fitting->size() <= 255);
  CHECK(fitting->size() == local.sides.size() * remote.sides.size());
}

TEST_CASE("selectors that all overlap cost no more than a thousand looks") {
  // Each of theirs meets each of ours in something new.
  TrafficSelectors offered;
  std::vector<SelectorSide> ours;
  for (std::uint16_t i = 0; i < 255; ++i) {
    offered.sides.push_back({*net::parse_range(fmt::format("10.0.{}.0-10.255.{}.0", i, i)), {}, {}});
    const auto port = static_cast<std::uint16_t>(1'000 + i);
    ours.push_back({*net::parse_range("10.0.0.0/8"), std::uint8_t{6}, {port, port}});
  }
  const auto result = narrow(offered, ours);
  CHECK(result.sides.size() <= 255);
  CHECK_FALSE(result.sides.empty());
}

TEST_CASE("why children failed is known of each by its name, until it is forgotten") {
  ChildFailures failures, before;
  failures.note("net", "TS_UNACCEPTABLE", Failing::mismatch);
  failures.note("voice", "there is no room", Failing::no_room);
  CHECK_THAT(failures.of("net"), Catch::Equals("TS_UNACCEPTABLE"));
  CHECK_THAT(failures.of("voice"), Catch::Equals("there is no room"));
  CHECK(failures.kind("net") == Failing::mismatch);
  CHECK(failures.kind("voice") == Failing::no_room);
  CHECK(failures.kind("") == Failing::passing);
  CHECK(failures.of("").empty());
  before.note("", "nobody's", Failing::mismatch);
  before.note("net", "long ago", Failing::no_room);
  failures.take_over(before);
  CHECK_THAT(failures.of(""), Catch::Equals("nobody's"));
  CHECK_THAT(failures.of("net"), Catch::Equals("TS_UNACCEPTABLE"));
  failures.forget("");
  CHECK(failures.of("").empty());
  failures.forget_all_but({"voice"});
  CHECK(failures.of("net").empty());
  CHECK_FALSE(failures.of("voice").empty());
}
