#include "tests/datapath/policy/policies.hpp"

using namespace espgate;
using namespace espgate::policy;
using namespace espgate::testing;

namespace {

const auto yes = Decision::bypass();
const auto no = Decision::discard();
constexpr std::uint8_t tcp = 6, udp = 17, icmp = 1;

}  // namespace

TEST_CASE("an empty database matches nothing") {
  const auto table = classifier(10);
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1")) == Decision::none());
  CHECK(decision(*table, packet("2001:db8::1", "2001:db8::2")) == Decision::none());
  CHECK(decision(*table, without_ports(packet("10.1.0.1", "10.2.0.1"))) == Decision::none());
}

TEST_CASE("the lowest order decides, whatever is the more specific") {
  const auto table = classifier(10);
  REQUIRE(table->add(selector("10.0.0.0/8", "0.0.0.0/0"), 20, no));
  REQUIRE(table->add(selector("10.1.0.0/16", "10.2.0.0/16"), 30, yes));
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1")) == no);
  REQUIRE(table->add(selector("10.1.0.0/16", "10.2.0.0/16"), 10, Decision::protect(7)));
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1")) == Decision::protect(7));
  CHECK(decision(*table, packet("10.1.0.1", "10.3.0.1")) == no);
  CHECK(decision(*table, packet("11.1.0.1", "10.2.0.1")) == Decision::none());
}

TEST_CASE("ranges end where they say") {
  const auto table = classifier(10);
  REQUIRE(table->add(selector("10.1.0.5-10.1.1.20", "0.0.0.0/0"), 1, yes));
  REQUIRE(table->add(selector("2001:db8::ffff-2001:db8::1:5", "2001:db8:1::7"), 2, yes));
  for (const auto* inside : {"10.1.0.5", "10.1.0.255", "10.1.1.20"})
    CHECK(decision(*table, packet(inside, "1.2.3.4")) == yes);
  for (const auto* outside : {"10.1.0.4", "10.1.1.21", "10.0.0.5"})
    CHECK(decision(*table, packet(outside, "1.2.3.4")) == Decision::none());
  for (const auto* inside : {"2001:db8::ffff", "2001:db8::1:0", "2001:db8::1:5"})
    CHECK(decision(*table, packet(inside, "2001:db8:1::7")) == yes);
  for (const auto* outside : {"2001:db8::fffe", "2001:db8::1:6", "2001:db8:0:1::1:0"})
    CHECK(decision(*table, packet(outside, "2001:db8:1::7")) == Decision::none());
}

TEST_CASE("protocol, ports and ICMP types are judged") {
  const auto table = classifier(10);
  REQUIRE(table->add(selector("10.1.0.0/24", "0.0.0.0/0", tcp, {}, {443, 443}), 1, yes));
  REQUIRE(table->add(selector("10.1.0.0/24", "0.0.0.0/0", tcp, {}, {8000, 8999}), 2, yes));
  REQUIRE(table->add(selector("10.1.0.0/24", "0.0.0.0/0", icmp, *net::parse_icmp_types("8/0")), 3, yes));
  REQUIRE(table->add(selector("10.1.0.0/24", "0.0.0.0/0", udp), 4, yes));
  const auto to = [&](std::uint8_t protocol, std::uint16_t port) {
    return decision(*table, packet("10.1.0.1", "1.2.3.4", protocol, 1000, port));
  };
  CHECK(to(tcp, 443) == yes);
  CHECK(to(tcp, 8000) == yes);
  CHECK(to(tcp, 8999) == yes);
  CHECK(to(tcp, 9000) == Decision::none());
  CHECK(to(udp, 9000) == yes);
  CHECK(to(47, 0) == Decision::none());
  CHECK(decision(*table, packet("10.1.0.1", "1.2.3.4", icmp, 0x800, 0x800)) == yes);
  CHECK(decision(*table, packet("10.1.0.1", "1.2.3.4", icmp, 0x801, 0x801)) == Decision::none());
}

TEST_CASE("a packet without ports matches no rule that goes by them, nor slips past it") {
  const bool single = GENERATE(true, false);
  const auto table = classifier(10);
  const auto fragment = without_ports(packet("10.1.0.1", "10.2.0.1", tcp));
  const auto secret = table->add(selector("10.1.0.0/24", "10.2.0.0/16", tcp, {},
                                          single ? net::PortRange{443, 443} : net::PortRange{400, 500}),
                                 10, Decision::protect(1));
  REQUIRE(secret);
  REQUIRE(table->add(selector("0.0.0.0/0", "0.0.0.0/0"), 20, yes));
  CHECK(decision(*table, fragment) == Decision::ports_unknown());
  // Another protocol or another network is none of that rule's business.
  CHECK(decision(*table, without_ports(packet("10.1.0.1", "10.2.0.1", udp))) == yes);
  CHECK(decision(*table, without_ports(packet("10.1.0.1", "10.3.0.1", tcp))) == yes);
  // What comes first decides for packets without ports, too.
  const auto earlier = table->add(selector("10.1.0.0/24", "10.2.0.0/16"), 5, no);
  REQUIRE(earlier);
  CHECK(decision(*table, fragment) == no);
  table->remove(*earlier);
  CHECK(decision(*table, fragment) == Decision::ports_unknown());
  table->remove(*secret);
  CHECK(decision(*table, fragment) == yes);
}

TEST_CASE("a fragment that hides its protocol meets no policy behind the first that goes by protocols") {
  const auto table = classifier(10);
  REQUIRE(table->add(selector("::/0", "::/0"), 20, yes));
  auto flow = without_ports(packet("2001:db8::1", "2001:db8::2", 60)).flow();
  flow.protocol_known = false;
  Match match;
  look_up_all(*table, {&flow, 1}, &match);
  CHECK(match.decision == yes);
  const auto rule = table->add(selector("2001:db8:1::/48", "::/0", tcp), 10, no);
  look_up_all(*table, {&flow, 1}, &match);
  CHECK(match.decision == Decision::ports_unknown());
  const auto earlier = table->add(selector("2001:db8::/32", "::/0"), 5, yes);
  look_up_all(*table, {&flow, 1}, &match);
  CHECK(match.decision == yes);
  table->remove(*earlier);
  table->remove(*rule);
  look_up_all(*table, {&flow, 1}, &match);
  CHECK(match.decision == yes);
  REQUIRE(table->add(selector("10.0.0.0/8", "0.0.0.0/0", tcp), 1, no));  // of IPv4, where none hides it
  look_up_all(*table, {&flow, 1}, &match);
  CHECK(match.decision == yes);
}

TEST_CASE("a decision changes in place and keeps the rule's count") {
  const auto table = classifier(10);
  const auto rule = table->add(selector("10.1.0.0/24", "10.2.0.0/16"), 1, Decision::protect_without_sa());
  REQUIRE(rule);
  table->count(0, *rule);
  table->count(1, *rule);
  table->set(*rule, Decision::protect(3));
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1")) == Decision::protect(3));
  CHECK(table->hits(*rule) == 2);
}

TEST_CASE("what was refused is dropped from its place in the order on, whatever its ports") {
  const auto table = classifier(10);
  REQUIRE(table->add(selector("10.1.0.0/24", "10.2.0.0/24", udp, {}, {53, 53}), 10, yes));
  REQUIRE(table->add(selector("0.0.0.0/0", "0.0.0.0/0"), 30, yes));
  REQUIRE(table->add(selector("::/0", "::/0"), 31, yes));
  const std::vector<StandIn> refused{
      {selector("10.1.0.0/24", "10.2.0.0-10.2.0.9", tcp, {}, {80, 80}), 20, Decision::protect_without_sa()},
      {selector("2001:db8:1::/64", "2001:db8:2::/64"), 21, no}};
  table->stand_in(refused);
  const auto dropped = packet("10.1.0.1", "10.2.0.9");
  CHECK(decision(*table, dropped) == Decision::protect_without_sa());
  CHECK(decision(*table, without_ports(packet("10.1.0.1", "10.2.0.9", tcp))) ==
        Decision::protect_without_sa());
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.9", udp, 1, 53)) == yes);  // comes before
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.10")) == yes);
  CHECK(decision(*table, packet("10.1.1.1", "10.2.0.9")) == yes);
  CHECK(decision(*table, packet("2001:db8:1::1", "2001:db8:2::1")) == no);
  CHECK(decision(*table, packet("2001:db8:1::1", "2001:db8:3::1")) == yes);
  table->stand_in({refused.data() + 1, 1});
  CHECK(decision(*table, dropped) == yes);
  CHECK(decision(*table, packet("2001:db8:1::1", "2001:db8:2::1")) == no);
  table->stand_in({});
  CHECK(decision(*table, packet("2001:db8:1::1", "2001:db8:2::1")) == yes);
}

TEST_CASE("limits are errors that name themselves and change nothing") {
  const auto table = classifier(300);
  const auto range = [](std::uint16_t i) {
    return selector("10.1.0.0/24", "10.2.0.0/16", tcp, {i, static_cast<std::uint16_t>(i + 1)});
  };
  for (std::uint16_t i = 0; i < Classifier::most_in_chain; ++i) REQUIRE(table->add(range(i), i, yes));
  const auto crowded = table->add(range(1000), 1000, yes);
  REQUIRE_FALSE(crowded);
  CHECK(crowded.error().what.find("differ in ranges only") != std::string::npos);
  for (std::uint16_t i = 0; table->size() < 300; ++i)
    REQUIRE(table->add(selector("10.1.0.0/24", "10.2.0.0/16", tcp, {i, i}), 2'000U + i, no));
  const auto full = table->add(selector("10.9.0.0/24", "10.2.0.0/16"), 5'000, yes);
  REQUIRE_FALSE(full);
  CHECK(full.error().text().find("limits.policies") != std::string::npos);
  CHECK(table->size() == 300);
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1", tcp, 1000)) == Decision::none());
  CHECK(decision(*table, packet("10.1.0.1", "10.2.0.1", tcp, 1)) == yes);
}

TEST_CASE("too little memory is an error") {
  const auto table = Classifier::create(100, 1, *std::pmr::null_memory_resource(), {});
  REQUIRE_FALSE(table);
  CHECK(table.error().text().find("limits.policies") != std::string::npos);
}

TEST_CASE("a turned flow is the answer's") {
  for (const auto& [one, other] :
       {std::pair{packet("10.1.0.1", "10.2.0.1", udp, 1, 2), packet("10.2.0.1", "10.1.0.1", udp, 2, 1)},
        std::pair{packet("::1:2:3:4", "::5:6:7:8", udp, 1, 2),
                  packet("::5:6:7:8", "::1:2:3:4", udp, 2, 1)}}) {
    const auto turned = one.flow().turned();
    const auto expected = other.flow();
    const auto words = one.local.family == net::Family::v4 ? 1 : 4;
    CHECK(std::equal(turned.addresses, turned.addresses + words, expected.addresses));
    CHECK(turned.upper == expected.upper);
  }
}
