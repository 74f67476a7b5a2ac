// Routers' messages as they come: whole, damaged, about others.
#include "control/sizes/path_report.hpp"

#include <catch2/catch.hpp>

#include "control/sizes/icmp_error.hpp"
#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// The packet that our ESP is, and what a router says of it.
Bytes outer_packet(Rig& rig) {
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 900, false)));
  REQUIRE(out.outside.size() == 1);
  return Bytes(out.outside[0].begin() + 14, out.outside[0].end());
}

Bytes said_of(const Bytes& packet, std::uint16_t mtu) {
  const auto router = *net::parse_address(packet[0] >> 4 == 4 ? "198.51.100.7" : "2001:db8:99::7");
  return *sizes::icmp_error(packet, {net::Refusal::Why::too_big, mtu}, router);
}

}  // namespace

TEST_CASE("a router's message names the path, the SPI, the sequence number and the MTU") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .encapsulation = encapsulation});
  (void)outer_packet(rig);
  const auto report = sizes::read_path_report(said_of(outer_packet(rig), 1300));
  REQUIRE(report);
  const auto sa = rig.parameters(false);
  CHECK(report->local == sa.local);
  CHECK(report->remote == sa.remote);
  CHECK(report->spi == Rig::outbound_spi);
  CHECK(report->sequence == 2);
  CHECK(report->mtu == 1300);
}

TEST_CASE("no truncation of a message reads beyond it, and none without the SPI counts") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  const auto message = said_of(outer_packet(rig), 1300);
  const std::size_t needed = outer == net::Family::v4 ? 20 + 8 + 20 + 8 : 40 + 8 + 40 + 8;
  for (std::size_t size = 0; size <= needed; ++size) {
    const Bytes exact(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(sizes::read_path_report(exact).has_value() == (size == needed));
  }
}

TEST_CASE("messages of other kinds and about other packets say nothing of a path") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  const auto good = said_of(outer_packet(rig), 1300);
  const std::size_t header_bytes = outer == net::Family::v4 ? 20 : 40;
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto message = good;
    message[at] = value;
    return sizes::read_path_report(message).has_value();
  };
  CHECK_FALSE(with(header_bytes, 1));
  CHECK_FALSE(with(header_bytes + 1, 5));
  CHECK_FALSE(with(header_bytes + 8, 0));
  CHECK_FALSE(with(header_bytes + 8 + (outer == net::Family::v4 ? 9 : 6), 6));
  CHECK_FALSE(with(outer == net::Family::v4 ? 9 : 6, 17));
  if (outer == net::Family::v4) CHECK_FALSE(with(20 + 8 + 7, 1));  // a later fragment has no SPI
  CHECK_FALSE(sizes::read_path_report(rig.inner(outer, 100, true)).has_value());
}
