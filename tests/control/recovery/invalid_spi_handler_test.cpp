#include "control/recovery/invalid_spi_handler.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <random>

#include "tests/control/recovery/knowledge.hpp"

using namespace espgate;
using namespace espgate::recovery;
using namespace espgate::recovery::test;
using namespace std::chrono_literals;
using Catch::Contains;
using Catch::StartsWith;
using Standing = sa::SpiFacts::Standing;

namespace {

struct Handler {
  explicit Handler(InvalidSpiHandler::Options options = {})
      : handler(
            options, knowledge, repairer,
            [this](sa::Severity, std::string_view line) { lines.emplace_back(line); },
            [this] { return static_cast<std::uint32_t>(random()); }) {
    setenv("TZ", "UTC", 1);
    tzset();
    knowledge.peers[net::parse_address("192.0.2.2").value()] = "branch";
    knowledge.peers[net::parse_address("2001:db8::2").value()] = "branch6";
  }
  void packet(const sa::SpiMiss& record) { handler.handle(record, "outside", now); }
  void packet(std::uint32_t spi = 0x1234abcd) { packet(miss("192.0.2.2", "192.0.2.1", spi)); }
  void advance(std::chrono::nanoseconds by) {
    now.steady += by;
    now.wall += std::chrono::duration_cast<std::chrono::system_clock::duration>(by);
  }
  void facts(std::uint32_t spi, Standing standing, sa::Reason reason = sa::Reason::deleted,
             std::uint32_t next = 0) {
    knowledge.spis[spi] = {standing, reason, next, now, "branch"};
  }

  std::mt19937 random{1};
  FakeKnowledge knowledge;
  FakeRepairer repairer;
  std::vector<std::string> lines;
  InvalidSpiHandler handler;
  // 2023-11-14 12:00:01 UTC
  Moment now{1h, std::chrono::system_clock::time_point(std::chrono::seconds(1'699'963'201))};
};

}  // namespace

TEST_CASE("the first line of a flow, word for word") {
  Handler h;
  h.packet();
  REQUIRE(h.lines.size() == 1);
  CHECK(h.lines[0] ==
        "%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr=192.0.2.1, "
        "prot=50, "
        "spi=0x1234ABCD(305441741), srcaddr=192.0.2.2, input interface=outside; espgate: never issued, known "
        "peer "
        "branch, 1 packet since 12:00:01; the keys are manual, so only an operator can repair it; compare "
        "the peer's outbound SPI with the inbound SPI of the "
        "connection "
        "here");
}

TEST_CASE("what a flow had lately is not what it had in its life") {
  Handler h;
  for (int i = 0; i < 60; ++i) {
    h.packet();
    h.advance(10s);
  }
  const auto flow = flows_of(h.handler, 0x1234abcd).at(0);
  CHECK(flow.packets == 60);
  CHECK(flow.recent.value(h.now.steady) == 11);
  CHECK(flow.recent.value(h.now.steady + 2min) == 0);
}

TEST_CASE("a flow speaks once a minute and then says how many it kept to itself") {
  Handler h;
  for (int i = 0; i < 16; ++i) {
    h.packet();
    h.advance(3s);
  }
  h.advance(12s - 1ns);
  h.packet();
  CHECK(h.lines.size() == 1);
  h.advance(1ns);
  h.packet();
  REQUIRE(h.lines.size() == 2);
  CHECK_THAT(h.lines[1], Contains("known peer branch, 18 packets since 12:00:01 (16 suppressed); "));
  // Thousands in the next minute are one line again.
  for (int i = 0; i < 5'999; ++i) {
    h.advance(10ms);
    h.packet();
  }
  CHECK(h.lines.size() == 2);
  h.advance(10ms);
  h.packet();
  REQUIRE(h.lines.size() == 3);
  CHECK_THAT(h.lines[2], Contains("6018 packets since 12:00:01 (5999 suppressed)"));
  h.advance(24h);
  h.packet();
  CHECK_THAT(h.lines.at(3), Contains("6019 packets since 2023-11-14 12:00:01; "));
}

TEST_CASE("both families, plain and UDP-encapsulated, are flows of their own and reported alike") {
  Handler h;
  const auto udp = sa::Encapsulation::udp;
  h.packet(miss("192.0.2.2", "192.0.2.1", 5000));
  h.packet(miss("192.0.2.2", "192.0.2.1", 5000, udp));
  h.packet(miss("2001:db8::2", "2001:db8::1", 5000));
  h.packet(miss("2001:db8::2", "2001:db8::1", 5000, udp));
  REQUIRE(h.lines.size() == 4);
  CHECK_THAT(h.lines[0], Contains("destaddr=192.0.2.1, prot=50, spi=0x1388(5000), srcaddr=192.0.2.2,"));
  CHECK_THAT(h.lines[1], Contains("destaddr=192.0.2.1, prot=17, spi=0x1388(5000), srcaddr=192.0.2.2,"));
  CHECK_THAT(h.lines[2], Contains("destaddr=2001:db8::1, prot=50, spi=0x1388(5000), srcaddr=2001:db8::2,"));
  CHECK_THAT(h.lines[3], Contains("destaddr=2001:db8::1, prot=17, spi=0x1388(5000), srcaddr=2001:db8::2,"));
  CHECK_THAT(h.lines[3], Contains("known peer branch6"));
  const auto flows = flows_of(h.handler, 5000);
  REQUIRE(flows.size() == 4);
  CHECK(h.handler.owner_of(flows[0]) == "branch6");
  CHECK(flows[0].source_port == 4500);
  CHECK(h.handler.owner_of(flows[3]) == "branch");
}

TEST_CASE("each class names its owner and what to do") {
  Handler h;
  const auto line = [&](std::uint32_t spi) {
    h.packet(spi);
    h.advance(1s);
    return h.lines.back();
  };
  h.facts(1000, Standing::retired, sa::Reason::deleted);
  h.facts(1001, Standing::retired, sa::Reason::expired);
  h.facts(1002, Standing::retired, sa::Reason::rekeyed, 0x2002);
  h.facts(1003, Standing::larval);
  h.advance(31s);
  CHECK_THAT(line(1000), Contains("espgate: deleted, connection branch, "));
  CHECK_THAT(line(1001), Contains("espgate: expired, connection branch, "));
  CHECK_THAT(line(1002),
             Contains("espgate: just rekeyed, connection branch, ") && Contains("SPI 0x2002 took over"));
  CHECK_THAT(line(1003), Contains("espgate: larval, connection branch, "));
  CHECK_THAT(line(1004), Contains("espgate: never issued, known peer branch, "));
  h.facts(1006, Standing::before_restart);
  CHECK_THAT(line(1006), Contains("espgate: before restart, connection branch, "));
  h.packet(miss("203.0.113.5", "192.0.2.1", 1005));
  CHECK_THAT(h.lines.back(), Contains("espgate: stranger, unknown peer, 1 packet since"));
  CHECK(h.handler.packets() == std::array<std::uint64_t, class_count>{1, 1, 1, 1, 1, 1, 0, 0, 1, 0});
}

TEST_CASE("an SPI in use, from or to elsewhere: the line says for whom its SA is, and nothing is done") {
  Handler h;
  const auto udp = sa::Encapsulation::udp;
  const auto mismatch = [](const char* source, const char* destination) {
    auto record = miss(source, destination, 1000, sa::Encapsulation::udp);
    record.miss = sa::Miss::mismatch;
    return record;
  };
  h.facts(1000, Standing::active);
  h.knowledge.spis[1000].ends = {net::parse_address("192.0.2.2").value(),
                                 net::parse_address("192.0.2.1").value(), udp, 61'000};
  h.packet(mismatch("203.0.113.5", "192.0.2.1"));
  CHECK_THAT(h.lines.back(),
             Contains("espgate: peer moved, connection branch, 1 packet since") &&
                 Contains("; its SA is from 192.0.2.2 by UDP port 61000 to 192.0.2.1; its SA is"
                          " for another address"));
  h.packet(mismatch("192.0.2.2", "192.0.2.99"));
  CHECK_THAT(h.lines.back(), Contains("espgate: wrong destination, connection branch, "));
  // One that we send with ourselves.
  h.facts(1001, Standing::outbound);
  h.packet(1001);
  CHECK_THAT(h.lines.back(), Contains("espgate: wrong destination, connection branch, "));
  CHECK(h.repairer.asked.empty());
}

TEST_CASE("what a connection with peers at any address had is the peer's that is there now") {
  Handler h;
  h.facts(1000, Standing::before_restart);
  h.packet(1000);
  CHECK_THAT(h.lines.back(), Contains("before restart, connection branch, "));
  const auto flow = flows_of(h.handler, 1000).at(0);
  auto& peer = h.knowledge.peers.at(net::parse_address("192.0.2.2").value());
  for (const auto* name : {"branch#7", "branch-two#7", "branch-two", ""}) {
    peer = name;
    CHECK(h.handler.owner_of(flow) == (peer == "branch#7" ? "branch#7" : "branch"));
  }
}

TEST_CASE("packets of an SPI in use from ever new addresses are a flood, too") {
  InvalidSpiHandler::Options options;
  options.flood_flows_per_s = 10;
  Handler h(options);
  h.facts(1000, Standing::active);
  auto record = miss("203.0.113.0", "192.0.2.1", 1000);
  record.miss = sa::Miss::mismatch;
  for (std::uint8_t i = 0; i < 20; ++i) {
    record.source[3] = i;
    h.packet(record);
  }
  CHECK(flows_of(h.handler, 1000).back().kind == Class::flood);
  CHECK_THAT(h.lines.back(), StartsWith("invalid SPI: a flood:"));
}

TEST_CASE("early packets of a rekey are counted, not logged, until they last") {
  Handler h;
  SECTION("larval") {
    h.facts(1000, Standing::larval);
  }
  SECTION("installed in the meantime") {
    h.facts(1000, Standing::active);
  }
  for (int i = 0; i < 30; ++i) {
    h.packet(1000);
    h.advance(1s);
  }
  CHECK(h.lines.empty());
  CHECK(flows_of(h.handler, 1000).at(0).packets == 30);
  h.packet(1000);
  REQUIRE(h.lines.size() == 1);
  CHECK_THAT(h.lines[0], Contains("31 packets since 12:00:01 (30 suppressed)"));
}

TEST_CASE("a deleted or expired SPI speaks at once") {
  Handler h;
  h.facts(1000, Standing::retired, sa::Reason::deleted);
  h.facts(1001, Standing::retired, sa::Reason::expired);
  h.packet(1000);
  h.packet(1001);
  CHECK(h.lines.size() == 2);
}

TEST_CASE("the log takes ten lines at once, ten a second, and one that sums up the rest") {
  InvalidSpiHandler::Options options;
  options.flood_flows_per_s = 1'000;
  Handler h(options);
  for (std::uint32_t spi = 1000; spi < 1500; ++spi) {
    h.packet(spi);
    h.advance(1ms);
  }
  CHECK(h.lines.size() == 14);
  h.handler.tick(h.now);
  CHECK(h.lines.size() == 14);  // the first was withheld less than a second ago
  h.advance(510ms);
  h.handler.tick(h.now);
  REQUIRE(h.lines.size() == 15);
  CHECK_THAT(h.lines[14],
             StartsWith("invalid SPI: 486 more lines withheld (at most 10 a second are written)"));
  h.advance(1s);
  h.handler.tick(h.now);
  CHECK(h.lines.size() == 15);
  // A flow that was withheld speaks at its next packet, one that spoke does not.
  h.packet(1499);
  h.packet(1000);
  REQUIRE(h.lines.size() == 16);
  CHECK_THAT(h.lines[15], Contains("(1499)") && Contains("2 packets since 12:00:01 (1 suppressed)"));
}

TEST_CASE("a million random SPIs use no more memory, time or log than allowed") {
  Handler h;
  const auto began = std::clock();
  std::mt19937_64 random(2);
  auto record = miss("192.0.2.2", "192.0.2.1", 0);
  for (int i = 0; i < 1'000'000; ++i) {
    record.spi = static_cast<std::uint32_t>(random());
    record.source[3] = static_cast<std::uint8_t>(random());
    h.packet(record);
    h.advance(10us);
  }
  const auto took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  std::cout << "1,000,000 random SPIs: " << took << " s\n";
  CHECK(took < 20);
  CHECK(h.handler.table().size() == 4'096);
  CHECK(h.handler.table().capacity() == 4'096);
  CHECK(h.handler.table().evicted() >= 1'000'000 - 4'096 - 1'000);
  CHECK(h.lines.size() <= 10 * 11 + 2);
  CHECK(h.repairer.asked.size() <= 10);
  std::uint64_t packets = 0;
  for (const auto count : h.handler.packets()) packets += count;
  CHECK(packets == 1'000'000);
}

TEST_CASE("a port name of any length is kept, cut to fit") {
  Handler h;
  h.handler.handle(miss("192.0.2.2", "192.0.2.1", 1000), "a-very-long-port-name", h.now);
  CHECK(flows_of(h.handler, 1000).at(0).port_name() == "a-very-long-por");
}
