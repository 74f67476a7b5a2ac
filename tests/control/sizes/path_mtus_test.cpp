// Path MTUs of real SAs and routes: where they come from, and what nobody can talk us into.
#include "control/sizes/path_mtus.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <span>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  Rig rig;
  sizes::PathMtus mtus;

  explicit Fixture(net::Family outer = net::Family::v4, sizes::PathMtus::Options options = {})
      : rig({.outer = outer}), mtus(*rig.sas, *rig.forwarding, options) {
    rig.sas->outbound(rig.outbound).sequence = 5'000;
  }
  sizes::PathReport report(std::uint16_t mtu) const {
    const auto sa = rig.parameters(false);
    return {sa.local, sa.remote, sa.spi, 4'990, mtu};
  }
  unsigned path_mtu(sizes::PathMtus::Time now) {
    mtus.refresh(1'000, now);
    return rig.sas->outbound(rig.outbound).path_mtu;
  }
  void route_mtu(std::uint16_t mtu) {
    const auto remote = rig.parameters(false).remote;
    forward::Hop hop;
    hop.kind = forward::HopKind::resolved;
    hop.frame_bytes = 14;
    hop.mtu = mtu;
    must(rig.forwarding->set_route({remote, static_cast<std::uint8_t>(remote.bits())},
                                   must(rig.forwarding->add_hop(hop))));
  }
};

}  // namespace

TEST_CASE("an SA's path takes what the route to its peer takes") {
  Fixture f(GENERATE(net::Family::v4, net::Family::v6));
  CHECK(f.rig.sas->outbound(f.rig.outbound).path_mtu == sa::path_mtu_unknown);
  CHECK(f.path_mtu(0s) == 1500);
  f.route_mtu(1400);
  CHECK(f.path_mtu(1s) == 1400);
  f.route_mtu(9000);
  CHECK(f.path_mtu(2s) == 9000);
}

TEST_CASE("what a router says counts at once, for ten minutes, and outlives the SA") {
  Fixture f(GENERATE(net::Family::v4, net::Family::v6));
  CHECK(f.path_mtu(0s) == 1500);
  CHECK(f.mtus.learn(f.report(1300), 1s));
  CHECK(f.rig.sas->outbound(f.rig.outbound).path_mtu == 1300);
  CHECK_FALSE(f.mtus.learn(f.report(1300), 2s));  // not lower
  CHECK_FALSE(f.mtus.learn(f.report(1400), 2s));
  CHECK(f.mtus.learn(f.report(1290), 60s));
  f.rig.sas->outbound(f.rig.outbound).path_mtu = sa::path_mtu_unknown;  // as a new SA has it
  CHECK(f.path_mtu(600s) == 1290);
  CHECK(f.path_mtu(660s) == 1500);
  CHECK(f.mtus.learned() == 0);
}

TEST_CASE("reports that do not quote what was sent, or go too low, change nothing") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Fixture f(outer);
  f.path_mtu(0s);
  const auto good = f.report(1300);
  const auto refused = [&](auto change) {
    auto report = good;
    change(report);
    return !f.mtus.learn(report, 1s) && f.path_mtu(1s) == 1500;
  };
  CHECK(refused([](auto& r) { r.spi ^= 1; }));
  CHECK(refused([](auto& r) { r.local.bytes[3] ^= 1; }));
  CHECK(refused([](auto& r) { r.remote.bytes[3] ^= 1; }));
  CHECK(refused([](auto& r) { r.sequence = 5'001; }));  // not sent yet
  CHECK(refused([](auto& r) { r.sequence = 0xffff'0000; }));
  if (outer == net::Family::v6) {
    CHECK(refused([](auto& r) { r.mtu = 0; }));
    CHECK(refused([](auto& r) { r.mtu = 1279; }));
  }
  CHECK(refused([](auto& r) { r.mtu = 1500; }));
  CHECK(f.mtus.learn(good, 2s));
}

TEST_CASE(
    "an IPv4 path that carries less than anybody should, or does not say how much, is taken without DF") {
  Fixture f;
  f.path_mtu(0s);
  const auto df = [&](std::size_t payload) {
    auto inner = f.rig.inner(net::Family::v4, payload, false);
    inner[net::ipv4::fragment] = 0x40;
    mend_checksum(inner);
    const auto out = f.rig.run(Rig::inside, f.rig.frame_to(Rig::inside, inner)).outside;
    return out.size() != 1                                  ? std::string("dropped")
           : (out[0][14 + net::ipv4::fragment] & 0x40) != 0 ? "set"
                                                            : "clear";
  };
  CHECK(df(400) == "set");
  CHECK(f.mtus.learn(f.report(GENERATE(std::uint16_t{0}, std::uint16_t{500}, std::uint16_t{575})), 1s));
  CHECK(f.path_mtu(1s) == 576);
  CHECK(df(400) == "clear");
  CHECK(df(600) == "dropped");  // its sender is told
  CHECK(f.path_mtu(601s) == 1500);
  CHECK(df(400) == "set");
}

TEST_CASE("so is one in transport mode, where the packet's own DF is the outer one") {
  Rig rig({.mode = sa::Mode::transport});
  sizes::PathMtus mtus(*rig.sas, *rig.forwarding, {});
  rig.sas->outbound(rig.outbound).sequence = 5'000;
  mtus.refresh(1'000, 0s);
  const auto sa = rig.parameters(false);
  const auto df = [&] {
    auto packet = rig.inner(net::Family::v4, 400, false);
    std::copy_n(sa.local.bytes.begin(), 4, packet.begin() + net::ipv4::source);
    std::copy_n(sa.remote.bytes.begin(), 4, packet.begin() + net::ipv4::destination);
    packet[net::ipv4::fragment] = 0x40;
    mend_checksum(packet);
    const auto out = rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside;
    REQUIRE(out.size() == 1);
    CHECK(net::header_sum(std::span(out[0]).subspan(14, 20)) == 0xffff);
    return (out[0][14 + net::ipv4::fragment] & 0x40) != 0;
  };
  CHECK(df());
  CHECK(mtus.learn({sa.local, sa.remote, sa.spi, 4'990, 500}, 1s));
  CHECK_FALSE(df());
  mtus.refresh(1'000, 601s);
  CHECK(df());
}

TEST_CASE("learning can be switched off, and is limited in number and rate") {
  {
    Fixture off(net::Family::v4, {.learn = false});
    off.path_mtu(0s);
    CHECK_FALSE(off.mtus.learn(off.report(1300), 1s));
  }
  {
    Fixture full(net::Family::v4, {.paths = 0});
    full.path_mtu(0s);
    CHECK_FALSE(full.mtus.learn(full.report(1300), 1s));
  }
  Fixture f(net::Family::v4, {.reports_per_second = 2});
  f.path_mtu(0s);
  CHECK(f.mtus.learn(f.report(1400), 10s));
  CHECK(f.mtus.learn(f.report(1350), 10s));
  CHECK_FALSE(f.mtus.learn(f.report(1300), 10s));
  CHECK(f.mtus.learn(f.report(1300), 11s));
}

TEST_CASE("forged reports, however many, keep no good one out") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Fixture f(outer, {.reports_per_second = 1});
  f.path_mtu(0s);
  auto forged = f.report(1300);
  for (int i = 0; i < 100'000; ++i) {
    ++forged.spi;
    if (f.mtus.learn(forged, 10s)) FAIL("SPI " << forged.spi);
  }
  forged = f.report(1300);
  forged.sequence = 9'000;
  for (int i = 0; i < 1'000; ++i) CHECK_FALSE(f.mtus.learn(forged, 10s));
  CHECK(f.mtus.learn(f.report(1300), 10s));
  CHECK(f.rig.sas->outbound(f.rig.outbound).path_mtu == 1300);
}

TEST_CASE("a new SA to a peer knows the path from its first packet on, another peer's does not") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Fixture f(outer);
  f.path_mtu(0s);
  CHECK(f.mtus.learn(f.report(1300), 1s));
  auto parameters = f.rig.parameters(false);
  parameters.spi = 0x2002;
  const auto second = must(f.rig.sas->install_outbound(parameters));
  f.mtus.refresh_one(second, 2s);
  CHECK(f.rig.sas->outbound(second).path_mtu == 1300);
  auto report = f.report(1290);  // its packets are known at once, too
  report.spi = 0x2002;
  f.rig.sas->outbound(second).sequence = 5'000;
  CHECK(f.mtus.learn(report, 2s));
  CHECK(f.rig.sas->outbound(second).path_mtu == 1290);
  CHECK(f.rig.sas->outbound(f.rig.outbound).path_mtu == 1300);  // until its own report, or a refresh
  CHECK_FALSE(f.mtus.learn(f.report(1290), 3s));                // nothing new, but
  CHECK(f.rig.sas->outbound(f.rig.outbound).path_mtu == 1290);
  parameters.spi = 0x2003;
  parameters.remote.bytes[15] = parameters.remote.bytes[3] = 77;
  if (outer == net::Family::v4) parameters.remote.bytes[15] = 0;
  const auto elsewhere = must(f.rig.sas->install_outbound(parameters));
  f.mtus.refresh_one(elsewhere, 3s);
  CHECK(f.rig.sas->outbound(elsewhere).path_mtu != 1290);
}

TEST_CASE("SAs that are gone are not found, and what was learned of their peers is forgotten in time") {
  Fixture f;
  f.path_mtu(0s);
  CHECK(f.mtus.learn(f.report(1300), 1s));
  f.rig.sas->retire_outbound(f.rig.outbound);
  CHECK_FALSE(f.mtus.learn(f.report(1290), 2s));
  f.mtus.refresh(1'000, 3s);
  CHECK_FALSE(f.mtus.learn(f.report(1290), 4s));
  CHECK(f.mtus.learned() == 1);
  f.mtus.refresh(1, 601s);
  CHECK(f.mtus.learned() == 0);
}

TEST_CASE("the index finds each SA by its peer and SPI among many, also after others have gone and moved") {
  constexpr std::uint32_t most = 5'000;
  sizes::OutboundIndex index(most);
  const auto peer = [](std::uint32_t number) { return net::Address::v4(0x0a00'0000 + number % 7); };
  std::map<std::uint32_t, std::uint32_t> spi_of;  // by SA
  const auto found = [&](std::uint32_t number) {
    return index.find(peer(number), 0x100 + number,
                      [&](std::uint32_t sa) { return spi_of[sa] == 0x100 + number; });
  };
  for (std::uint32_t sa = 0; sa < most; ++sa) {
    spi_of[sa] = 0x100 + sa;
    index.put(sa, peer(sa), 0x100 + sa);
    index.put(sa, peer(sa), 0x100 + sa);
  }
  for (std::uint32_t sa = 0; sa < most; ++sa) CHECK(found(sa) == sa);
  for (std::uint32_t sa = 0; sa < most; sa += 2) index.remove(sa);
  for (std::uint32_t sa = 1; sa < most; sa += 4) {
    spi_of[sa] = 0x100 + most + sa;
    index.put(sa, peer(most + sa), 0x100 + most + sa);
  }
  for (std::uint32_t sa = 0; sa < most; ++sa)
    CHECK(found(sa) == (sa % 4 == 3 ? sa : sizes::OutboundIndex::nobody));
  for (std::uint32_t sa = 1; sa < most; sa += 4) CHECK(found(most + sa) == sa);
}
