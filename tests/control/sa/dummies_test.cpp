// Dummy packets: what they look like, and when they come.
#include <catch2/catch.hpp>

#include "control/sa/dummy_packet.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/parse/upper_layer.hpp"
#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

// What a policy sees of it.
net::Flow flow_of(const DummyPacket& packet, net::Family family) {
  net::Flow flow{};
  parse::read_flow(packet.bytes(), family, flow);
  return flow;
}

std::size_t sent_by(Surroundings& s, std::chrono::milliseconds during) {
  s.dummies.clear();
  for (auto left = during; left > 0ms; left -= 10ms) s.advance(10ms);
  for (const auto& packet : s.dummies) {
    CHECK(packet.size() >= DummyPacket::least_bytes);
    CHECK(packet.size() <= DummyPacket::most_bytes);
  }
  return s.dummies.size();
}

}  // namespace

TEST_CASE("a dummy is a packet that its connection's policy is for") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const bool v4 = family == net::Family::v4;
  auto selector = v4 ? net::between(prefix("10.1.0.0/16"), prefix("20.0.1.0/24"))
                     : net::between(prefix("2001:db8:1::/48"), prefix("2001:db8:2::/48"));
  selector.protocol = GENERATE(std::optional<std::uint8_t>{}, std::optional<std::uint8_t>{6},
                               std::optional<std::uint8_t>{1}, std::optional<std::uint8_t>{58});
  if (selector.protocol == 6) selector.remote_ports = {443, 443};
  if (selector.protocol && net::is_icmp(*selector.protocol)) selector.local_ports = {8 << 8, 8 << 8 | 255};
  const auto flow = flow_of(DummyPacket(selector, 200), family);
  CHECK(net::within(net::FlowRanges::of(selector.local, selector.remote), flow));
  CHECK(flow.protocol() == selector.protocol.value_or(net::protocol_none));
  CHECK(flow.ports_known);
  if (selector.needs_ports()) {
    CHECK(selector.local_ports.contains(flow.local_port()));
    CHECK(selector.remote_ports.contains(flow.remote_port()));
  }
  std::uint32_t bytes = 0;
  CHECK(net::inner_ok(family, DummyPacket(selector, 200).bytes(), bytes));
  CHECK(bytes == 200);
}

TEST_CASE_METHOD(Started, "dummies come at the rate that the connection asks for, while it has an SA") {
  CHECK(sent_by(*this, 1s) == 0);
  c(1).dummy_rate = 100;
  c(2).dummy_rate = 50;
  REQUIRE(configure().problems.empty());
  (void)sent_by(*this, 100ms);
  const auto sent = sent_by(*this, 10s);
  CHECK(sent > 1'400);
  CHECK(sent < 1'600);
  c(1).outbound.reset();
  REQUIRE(configure().problems.empty());
  CHECK(sent_by(*this, 10s) < 550);
  c(2).dummy_rate = 0;
  REQUIRE(configure().problems.empty());
  CHECK(sent_by(*this, 1s) == 0);
}

TEST_CASE("many connections' dummies come in bounded numbers, and a silence is not made up for") {
  Surroundings s({2'000, 2'000, 1});
  for (unsigned i = 0; i < 1'500; ++i) {
    s.configuration.connections.push_back(connection(i));
    s.configuration.connections.back().inbound.reset();
    s.configuration.connections.back().dummy_rate = 1'000;
  }
  REQUIRE(s.configure().problems.empty());
  s.advance(10ms);
  CHECK(s.dummies.size() <= 256);
  Surroundings one;
  one.configuration.connections = {connection(1)};
  one.configuration.connections[0].dummy_rate = 100;
  REQUIRE(one.configure().problems.empty());
  one.advance(3'600s);
  CHECK(one.dummies.size() == 1);
}
