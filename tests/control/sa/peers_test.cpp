// Peers behind NATs: followed where they go, and kept mapped.
#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "control/sa/nat_keepalive.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/net/headers.hpp"
#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

config::Connection behind_nat(unsigned number) {
  auto result = connection(number);
  result.encapsulation = config::Encapsulation::udp;
  return result;
}

net::Address destination_of(const OutboundSa& sa) {
  return net::Address::from_bytes(sa.outer_family, sa.headers + net::ipv4::destination);
}

}  // namespace

TEST_CASE("an outbound SA's path is looked at before a policy names the SA, and when its peer moves") {
  Surroundings s;
  std::vector<std::pair<std::uint32_t, bool>> looked;  // SPI, named by a policy
  s.outbound_path = [&](std::uint32_t index) {
    const bool named = std::ranges::any_of(s.sink.table, [&](const auto& entry) {
      return entry.second.is_protect() && entry.second.outbound_sa() == index;
    });
    looked.emplace_back(s.store->outbound(index).spi, named);
  };
  s.configuration.connections = {behind_nat(1)};
  REQUIRE(s.configure().problems.empty());
  s.manager.peer_moved(0x1001, address("203.0.113.7"), 61'000, s.now);
  s.configuration.connections[0].outbound = manual(0x2222, 7);
  REQUIRE(s.configure().problems.empty());
  CHECK(looked ==
        std::vector<std::pair<std::uint32_t, bool>>{{0x2001, false}, {0x2001, true}, {0x2222, false}});
}

TEST_CASE("a peer that moved is sent to where it is, and known there") {
  Surroundings s;
  s.configuration.connections = {behind_nat(1)};
  REQUIRE(s.configure().problems.empty());
  const auto elsewhere = address("203.0.113.7");
  s.manager.peer_moved(0x1001, elsewhere, 61'000, s.now);
  const auto& inbound = s.store->inbound(s.store->find(0x1001));
  CHECK(inbound.remote_port == 61'000);
  CHECK(net::Address::from_bytes(net::Family::v4, inbound.source) == elsewhere);
  const auto decision = s.sink.table.at(prefix("20.0.1.0/24"));
  const auto& outbound = s.store->outbound(decision.outbound_sa());
  CHECK(destination_of(outbound) == elsewhere);
  CHECK(net::load_be16({outbound.headers, 64}, 22) == 61'000);
  CHECK(s.manager.connection_of_peer(elsewhere) == "c1");
  REQUIRE(s.lines.size() == 1);
  CHECK(s.lines[0] ==
        "connection c1: peer moved from 198.51.100.1 port 4500 to 203.0.113.7 port 61000 (SPI 0x00001001)");
  s.manager.peer_moved(0x1001, elsewhere, 61'000, s.now);  // workers tell until they see it
  CHECK(s.lines.size() == 1);
  s.manager.peer_moved(0x1001, address("203.0.113.8"), 61'000, s.now);
  CHECK(s.manager.connection_of_peer(elsewhere).empty());
  s.manager.peer_moved(0x7777, elsewhere, 1, s.now);  // an SA that is gone
}

TEST_CASE("an unchanged reload leaves the peer where it is") {
  Surroundings s;
  s.configuration.connections = {behind_nat(1)};
  REQUIRE(s.configure().problems.empty());
  s.manager.peer_moved(0x1001, address("203.0.113.7"), 61'000, s.now);
  REQUIRE(s.configure().problems.empty());
  CHECK(s.store->inbound(s.store->find(0x1001)).remote_port == 61'000);
  CHECK(s.manager.connection_of_peer(address("203.0.113.7")) == "c1");
}

TEST_CASE("keepalives go for silent UDP connections only, once a period") {
  Surroundings s;
  s.configuration.connections = {behind_nat(1), connection(2), behind_nat(3)};
  s.configuration.connections[2].nat_keepalive_s = 0;
  REQUIRE(s.configure().problems.empty());
  std::vector<std::uint32_t> sent;
  const auto visit = [&] {
    s.manager.visit_silent(s.now, [&](const OutboundSa& sa) { sent.push_back(sa.spi); });
  };
  visit();
  sent.clear();
  s.advance(19s);
  visit();
  CHECK(sent.empty());
  s.advance(1s);
  visit();
  CHECK(sent == std::vector<std::uint32_t>{0x2001});
  visit();
  CHECK(sent.size() == 1);
  // Traffic counts as a keepalive.
  const auto index = s.sink.table.at(prefix("20.0.1.0/24")).outbound_sa();
  s.advance(15s);
  s.store->outbound_usage(0, index).packets = 5;
  visit();
  s.advance(15s);
  visit();
  CHECK(sent.size() == 1);
  s.advance(5s);
  visit();
  CHECK(sent.size() == 2);
}

TEST_CASE("a keepalive is one byte in UDP, from and to the SA's ports") {
  const bool v4 = GENERATE(true, false);
  Surroundings s;
  auto wanted = behind_nat(1);
  if (!v4) {
    wanted.local = address("2001:db8::1");
    wanted.remote = address("2001:db8::2");
  }
  wanted.remote_port = 61'000;
  s.configuration.connections = {wanted};
  REQUIRE(s.configure().problems.empty());
  const auto index = s.sink.table.at(prefix("20.0.1.0/24")).outbound_sa();
  const NatKeepalive keepalive(s.store->outbound(index));
  const auto bytes = keepalive.bytes();
  const std::size_t ip_bytes = v4 ? 20 : 40;
  REQUIRE(bytes.size() == ip_bytes + 9);
  CHECK(bytes.back() == 0xff);
  CHECK(net::load_be16(bytes, ip_bytes) == 4'500);
  CHECK(net::load_be16(bytes, ip_bytes + 2) == 61'000);
  CHECK(net::load_be16(bytes, ip_bytes + 4) == 9);
  if (v4)
    CHECK(net::header_sum(bytes.first(20)) == 0xffff);
  else
    CHECK(net::load_be16(bytes, ip_bytes + 6) != 0);
}
