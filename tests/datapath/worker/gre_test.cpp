// GRE in transport mode: made, opened, and everything that is wrong with it.
#include <catch2/catch.hpp>

#include "datapath/net/congestion.hpp"
#include "tests/datapath/worker/gre_rig.hpp"

using namespace espgate;
using namespace espgate::test;
using net::gre::Options;

TEST_CASE(
    "a packet into a GRE tunnel leaves as GRE between the gateways, and what the peer sends comes out") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const Options options =
      GENERATE(Options{}, Options{.key = 42}, Options{.key = 0xffff'ffff, .checksum = true});
  GreRig rig(options, outer);
  auto packet = rig.inner(family, 99, false);
  const auto out = rig.from_inside(packet);
  REQUIRE(out.outside.size() == 1);
  const auto opened = rig.open(out.outside[0]);
  const auto read = net::gre::read(opened, options);
  REQUIRE(read.fault == net::gre::Fault::none);
  CHECK(read.payload == family);
  REQUIRE(opened.size() == read.header_bytes + packet.size());
  packet[family == net::Family::v4 ? net::ipv4::ttl : net::ipv6::hop_limit] -= 1;
  if (family == net::Family::v4) mend_checksum(packet);
  CHECK(std::equal(packet.begin(), packet.end(),
                   opened.begin() + static_cast<std::ptrdiff_t>(read.header_bytes)));
  if (outer == net::Family::v4) CHECK(net::header_sum(std::span(out.outside[0]).subspan(14, 20)) == 0xffff);

  const auto back = rig.inner(family, 77, true);
  REQUIRE(rig.gre_from_peer(GreRig::wrapped(back, options)).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=2");
  CHECK(rig.drops() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("what the kernel sends into a GRE tunnel, and what comes out for it") {
  GreRig rig({.key = 1});
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.tunnel);
  const auto packet = rig.inner(net::Family::v4, 10, false);
  const auto sent = rig.open(rig.run_from_host(link, packet).outside.at(0));
  CHECK(Bytes(sent.begin() + 8, sent.end()) == packet);
  const auto ours = redirected(rig.inner(net::Family::v6, 10, true), "2001:db8:1::1");
  CHECK(rig.gre_from_peer(GreRig::wrapped(ours, rig.gre)).host.at(0) == ours);
  CHECK(rig.host_ports == std::vector<std::uint16_t>{link});
  CHECK(rig.conserved());
}

TEST_CASE("DSCP and ECN go out with GRE, congestion comes back in, and fragments pass whole") {
  GreRig rig;
  auto packet = rig.inner(net::Family::v4, 64, false);
  packet[net::ipv4::tos] = 0xb9;
  net::store_be16(packet, net::ipv4::fragment, 0x2000);  // the first of several
  mend_checksum(packet);
  const auto out = rig.from_inside(packet).outside;
  REQUIRE(out.size() == 1);
  CHECK(out[0][14 + net::ipv4::tos] == 0xb9);
  CHECK((out[0][14 + net::ipv4::fragment] & 0x40) == 0);
  auto answer = rig.inner(net::Family::v4, 64, true);
  answer[net::ipv4::tos] = net::ecn_capable_1;
  mend_checksum(answer);
  auto frame = rig.esp_frame(1, GreRig::wrapped(answer, {}), gre_protocol);
  frame[14 + net::ipv4::tos] = net::ecn_experienced;
  mend_checksum(frame, 14);
  const auto inside = rig.run(Rig::outside, frame).inside;
  REQUIRE(inside.size() == 1);
  CHECK((inside[0][14 + net::ipv4::tos] & net::ecn_mask) == net::ecn_experienced);
}

TEST_CASE("GRE that is not the tunnel's is dropped by name") {
  GreRig rig({.key = 7, .checksum = true});
  const auto packet = rig.inner(net::Family::v4, 20, true);
  auto gre = GreRig::wrapped(packet, rig.gre);
  CHECK(rig.verdicts_of(GreRig::wrapped(packet, {.key = 8})) == "GRE_KEY_MISMATCH=1");
  CHECK(rig.verdicts_of(GreRig::wrapped(packet, {})) == "GRE_KEY_MISMATCH=1");
  gre.back() ^= 1;
  CHECK(rig.verdicts_of(gre) == "GRE_CHECKSUM_BAD=1");
  gre = GreRig::wrapped(packet, {.key = 7});
  gre[2] = 0x88, gre[3] = 0x47;  // MPLS
  CHECK(rig.verdicts_of(gre) == "GRE_PROTOCOL_UNKNOWN=1");
  gre[0] |= 0x40;
  CHECK(rig.verdicts_of(gre) == "GRE_HEADER_INVALID=1");
  CHECK(rig.verdicts_of({0x20, 0, 8}) == "GRE_HEADER_INVALID=1");
  CHECK(rig.verdicts_of(GreRig::wrapped(Bytes{0x45, 0, 0}, {.key = 7})) == "IN_INNER_HEADER_INVALID=1");
  CHECK(rig.conserved());
}

TEST_CASE("other things under a GRE tunnel's SA are the gateway's own") {
  GreRig rig;
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, Bytes(16), 17)).host.size() == 1);
  CHECK(rig.host_ports == std::vector<std::uint16_t>{Rig::outside});
}

TEST_CASE("what comes in clear to us where a policy wants protection is refused, also without an SA") {
  Rig rig({.mode = sa::Mode::transport});
  auto packet = redirected(rig.inner(net::Family::v4, 20, true), "192.0.2.1");
  std::copy_n(std::array<std::uint8_t, 4>{192, 0, 2, 2}.begin(), 4, packet.begin() + net::ipv4::source);
  packet[net::ipv4::protocol] = gre_protocol;
  mend_checksum(packet);
  rig.run(Rig::outside, rig.frame_to(Rig::outside, packet));
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
  rig.add_policy(rig.parameters(false).selectors.at(0), 1, policy::Decision::protect_without_sa());
  rig.run(Rig::outside, rig.frame_to(Rig::outside, packet));
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
  packet[net::ipv4::protocol] = 17;
  mend_checksum(packet);
  rig.run(Rig::outside, rig.frame_to(Rig::outside, packet));
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
}

TEST_CASE("with df = set nothing is cut outside: GRE takes the pieces of what its sender allows to be cut") {
  const auto df = GENERATE(sa::DfPolicy::set, sa::DfPolicy::clear, sa::DfPolicy::copy);
  const bool df_inside = GENERATE(false, true);
  CAPTURE(static_cast<int>(df), df_inside);
  GreRig rig({.key = 5}, net::Family::v4, {.df = df});
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  auto packet = rig.inner(net::Family::v4, 1400, false);
  if (df_inside) packet[net::ipv4::fragment] = 0x40;
  mend_checksum(packet);
  const auto out = rig.from_inside(packet).outside;
  const bool told = df_inside && df != sa::DfPolicy::clear;
  CHECK(rig.refused().size() == (told ? 1 : 0));
  REQUIRE(out.size() == (told ? 0 : 2));
  CHECK(rig.drops() == (told ? 1 : 0));
  if (df == sa::DfPolicy::set && !told) {
    std::size_t payload = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      CHECK(out[i][14 + net::ipv4::fragment] == 0x40);
      CHECK(out[i].size() <= 14 + 1400);
      const auto piece = rig.open(out[i]);
      REQUIRE(net::gre::read(piece, rig.gre).fault == net::gre::Fault::none);
      const Bytes inner(piece.begin() + 8, piece.end());
      CHECK((net::load_be16(inner, net::ipv4::fragment) & 0x2000) == (i == 0 ? 0x2000 : 0));
      CHECK(inner[net::ipv4::ttl] == packet[net::ipv4::ttl] - 1);
      payload += inner.size() - net::ipv4_header_bytes;
    }
    CHECK(payload == packet.size() - net::ipv4_header_bytes);
    CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1");
  } else if (!told) {
    for (const auto& piece : out) CHECK((piece[14 + net::ipv4::fragment] & 0x40) == 0);
    CHECK(rig.open(out[0]).empty());  // one ESP packet in two parts
  } else {
    CHECK(rig.verdicts() == "OUT_CANNOT_FRAG_DF_SET_PKT=1");
  }
  CHECK(rig.conserved());
}
