// What a Witness is told by the handler, and what it is not.
#include "control/recovery/witness.hpp"

#include <catch2/catch.hpp>

#include "tests/control/recovery/knowledge.hpp"

using namespace espgate;
using namespace espgate::recovery;
using namespace espgate::recovery::test;
using namespace std::chrono_literals;
using Standing = sa::SpiFacts::Standing;

namespace witness_test {
namespace {

struct FakeWitness : Witness {
  std::uint64_t flow_began(const Flow& flow, std::string_view connection, const sa::SpiMiss&,
                           Moment) override {
    began.push_back({flow.key.spi, flow.kind, flow.repair, std::string(connection)});
    return began.size();
  }
  void flow_went_on(const Flow& flow, const sa::SpiMiss&, Moment) override {
    went_on.push_back(flow.evidence);
  }
  void flood_began(const net::Address&, std::uint32_t, Moment) override { ++floods_begun; }
  void flood_ended(const FloodWatch::Over& over, Moment) override { flood_flows = over.flows; }

  struct Began {
    std::uint32_t spi;
    Class kind;
    Repair repair;
    std::string connection;
  };
  std::vector<Began> began;
  std::vector<std::uint64_t> went_on;
  int floods_begun = 0;
  std::uint64_t flood_flows = 0;
};

struct Rig {
  Rig() { knowledge.peers[net::parse_address("192.0.2.2").value()] = "branch"; }
  void packet(std::uint32_t spi, const char* source = "192.0.2.2") {
    handler.handle(miss(source, "192.0.2.1", spi), "outside", now);
  }
  void advance(std::chrono::nanoseconds by) { now.steady += by; }

  FakeKnowledge knowledge;
  FakeRepairer repairer;
  FakeWitness witness;
  InvalidSpiHandler handler{
      {}, knowledge, repairer, [](sa::Severity, std::string_view) {}, [] { return 7u; }, &witness};
  Moment now{1h, {}};
};

}  // namespace

TEST_CASE("the first line of a flow is told with what was done, and the packets behind it") {
  Rig rig;
  rig.repairer.answer = Repair::told;
  rig.packet(0x1001);
  REQUIRE(rig.witness.began.size() == 1);
  CHECK(rig.witness.began[0].spi == 0x1001);
  CHECK(rig.witness.began[0].kind == Class::never_issued);
  CHECK(rig.witness.began[0].repair == Repair::told);
  CHECK(rig.witness.began[0].connection == "branch");
  CHECK(rig.witness.went_on.empty());
  for (int i = 0; i < 3; ++i) rig.packet(0x1001);
  rig.advance(2min);
  rig.packet(0x1001);  // another line, no other event
  CHECK(rig.witness.began.size() == 1);
  CHECK(rig.witness.went_on == std::vector<std::uint64_t>{1, 1, 1, 1});
}

TEST_CASE("nothing is told of what is normal, nor of more flows than there are lines for") {
  Rig rig;
  rig.knowledge.spis[0x2001] = {Standing::larval, sa::Reason::deleted, 0, rig.now, "branch"};
  rig.packet(0x2001);
  CHECK(rig.witness.began.empty());
  for (std::uint32_t spi = 0x3000; spi < 0x3030; ++spi) rig.packet(spi);
  CHECK(rig.witness.began.size() == 10);
  rig.advance(2s);
  rig.packet(0x302f);  // it had no line yet
  CHECK(rig.witness.began.size() == 11);
}

TEST_CASE("a flood is told when it begins and when it is over, and none of its flows") {
  Rig rig;
  for (std::uint32_t spi = 0x4000; spi < 0x4400; ++spi) rig.packet(spi, "198.51.100.7");
  CHECK(rig.witness.floods_begun == 1);
  CHECK(rig.witness.began.size() == 10);
  rig.advance(1s);
  for (std::uint32_t spi = 0x5000; spi < 0x5400; ++spi) rig.packet(spi, "198.51.100.7");
  CHECK(rig.witness.began.size() == 10);
  for (int i = 0; i < 3; ++i) {
    rig.advance(1s);
    rig.handler.tick(rig.now);
  }
  CHECK(rig.witness.floods_begun == 1);
  CHECK(rig.witness.flood_flows > 1'000);
}

}  // namespace witness_test
