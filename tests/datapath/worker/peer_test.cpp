// A peer whose address or port changes: found out by good packets only, and by the newest of them.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// The same frame as if a NAT had sent it from elsewhere.
Bytes from_elsewhere(Bytes frame, std::uint8_t last_byte, std::uint16_t port) {
  frame[14 + net::ipv4::source + 3] = last_byte;
  mend_checksum(frame, 14);
  net::store_be16(frame, 14 + 20, port);
  return frame;
}

}  // namespace

TEST_CASE("a move of the peer is told once the ICV is good") {
  Rig rig({.encapsulation = sa::Encapsulation::udp});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, inner, 4)).inside.size() == 1);
  CHECK(rig.peers_moved().empty());
  CHECK(rig.run(Rig::outside, from_elsewhere(rig.esp_frame(2, inner, 4), 77, 61'000)).inside.size() == 1);
  const auto moves = rig.peers_moved();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].spi == Rig::inbound_spi);
  CHECK(moves[0].port == 61'000);
  CHECK(net::to_string(net::Address::from_bytes(moves[0].family, moves[0].address)) == "192.0.2.77");
  auto forged = from_elsewhere(rig.esp_frame(3, inner, 4), 78, 1);
  forged.back() ^= 1;
  rig.run(Rig::outside, forged);
  CHECK(rig.peers_moved().empty());
  CHECK(rig.conserved());
}

TEST_CASE("packets that were overtaken or played back move nobody") {
  Rig rig({.encapsulation = sa::Encapsulation::udp});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  rig.run(Rig::outside, rig.esp_frame(10, inner, 4));
  rig.run(Rig::outside, from_elsewhere(rig.esp_frame(9, inner, 4), 77, 61'000));
  rig.run(Rig::outside, from_elsewhere(rig.esp_frame(10, inner, 4), 77, 61'000));
  CHECK(rig.verdicts() == "FORWARDED=2 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=1");
  CHECK(rig.peers_moved().empty());
}

TEST_CASE("without anti-replay a move is not believed") {
  Rig rig({.encapsulation = sa::Encapsulation::udp, .window_packets = 0});
  rig.run(Rig::outside,
          from_elsewhere(rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4), 77, 61'000));
  CHECK(rig.peers_moved().empty());
}

TEST_CASE("an SA that does not follow its peer drops by name") {
  Rig rig({.encapsulation = sa::Encapsulation::udp, .track_peer = false});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  rig.run(Rig::outside, from_elsewhere(rig.esp_frame(1, inner, 4), 2, 61'000));
  CHECK(rig.verdicts() == "IN_SA_ENCAP_MISMATCH=1");
  rig.run(Rig::outside, from_elsewhere(rig.esp_frame(2, inner, 4), 77, 4'500));
  CHECK(rig.verdicts() == "IN_V4_PKT_HIT_INVALID_SA=1");
  const auto misses = rig.spi_misses();  // which control explains
  REQUIRE(misses.size() == 2);
  for (const auto& miss : misses) {
    CHECK(miss.miss == sa::Miss::mismatch);
    CHECK(miss.spi == Rig::inbound_spi);
  }
  CHECK(misses[0].source_port == 61'000);
}

TEST_CASE("after control has followed the peer, our packets go to where it is") {
  Rig rig({.encapsulation = sa::Encapsulation::udp});
  const auto peer = *net::parse_address("10.1.0.9");
  rig.sas->move_peer(rig.inbound, rig.outbound, peer, 61'000);
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  REQUIRE(out.inside.size() == 1);
  CHECK(out.inside[0][14 + net::ipv4::destination] == 10);
  CHECK(net::load_be16(out.inside[0], 14 + 20 + 2) == 61'000);
  const auto frame = from_elsewhere(rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4), 2, 61'000);
  rig.run(Rig::outside, frame);
  CHECK(rig.peers_moved().size() == 1);  // 192.0.2.2 is elsewhere now
}

TEST_CASE("plain ESP has no port that a peer's move could change") {
  Rig rig;
  rig.sas->move_peer(sa::no_sa, rig.outbound, *net::parse_address("10.1.0.9"), 61'000);
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  REQUIRE(out.outside.size() == 1);
  CHECK_FALSE(rig.open(out.outside[0]).empty());
}
