// Padding that hides how long packets are, and packets that hide how many there are (RFC 4303 2.6, 2.7).
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/tunnel_rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// What the peer finds behind ESP for a packet of this payload.
Bytes opened(Rig& rig, net::Family family, std::size_t payload) {
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(family, payload, false))).outside;
  return out.size() == 1 ? rig.open(out[0]) : Bytes{};
}

bool is_padded(const Bytes& text, std::size_t inner_bytes) {
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(inner_bytes), text.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

TEST_CASE("inner packets are padded to a multiple, with zeros, and the peer finds them whole") {
  const auto suite = GENERATE(crypto::SuiteId::aes_gcm_16_128, crypto::SuiteId::aes_cbc_256_sha256);
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.suite = suite, .tfc_bytes = 256});
  const std::size_t headers = family == net::Family::v4 ? 28 : 48;
  for (const std::size_t inner :
       {headers, headers + 1, std::size_t{255}, std::size_t{256}, std::size_t{257}}) {
    const auto text = opened(rig, family, inner - headers);
    CAPTURE(inner);
    REQUIRE(text.size() == (inner + 255) / 256 * 256);
    CHECK(is_padded(text, inner));
    // As the peer we take the padding off again.
    const auto packet = rig.inner(family, inner - headers, true);
    auto padded = packet;
    padded.resize(text.size());
    const std::uint8_t next_header = family == net::Family::v4 ? 4 : 41;
    const auto in = rig.run(Rig::outside, rig.esp_frame(inner, padded, next_header)).inside;
    REQUIRE(in.size() == 1);
    CHECK(in[0].size() == 14 + packet.size());
  }
  CHECK(rig.conserved());
}

TEST_CASE("padding makes no packet larger than its path takes") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer, .tfc_bytes = 1'000});
  rig.sas->outbound(rig.outbound).path_mtu = 1'400;
  const unsigned around = (outer == net::Family::v4 ? 20 : 40) + 8 + 8 + 16;
  const std::size_t largest = (1'400 - around) / 4 * 4 - 2;
  CHECK(opened(rig, net::Family::v4, 10).size() == 1'000);
  CHECK(opened(rig, net::Family::v4, 1'000).size() == largest);
  CHECK(opened(rig, net::Family::v4, largest - 28).size() == largest);
  CHECK(rig.verdicts() == "FORWARDED=3");
  CHECK(rig.conserved());
}

TEST_CASE("padded to the path's MTU all packets look alike, once that is known") {
  Rig rig({.tfc_bytes = sa::tfc_to_path_mtu});
  CHECK(opened(rig, net::Family::v4, 10).size() == 38);
  rig.sas->outbound(rig.outbound).path_mtu = 1'400;
  const std::size_t largest = (1'400 - 20 - 8 - 8 - 16) / 4 * 4 - 2;
  for (const std::size_t payload : {0u, 1u, 100u, 1'200u}) {
    const auto text = opened(rig, net::Family::v4, payload);
    CHECK(text.size() == largest);
    CHECK(is_padded(text, 28 + payload));
  }
  // In pieces, too, and never beyond a buffer.
  const auto frame = rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1'400, false));
  const auto pieces = rig.run(Rig::inside, frame).outside;
  REQUIRE(pieces.size() == 2);
  CHECK(rig.open(pieces[0]).size() <= largest);
  CHECK(rig.open(pieces[1]).size() == largest);
  rig.sas->outbound(rig.outbound).path_mtu = 60'000;
  (void)opened(rig, net::Family::v4, 10);  // larger than the way out takes, so it leaves in pieces
  CHECK(rig.taken(Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG) == 0);
  CHECK(rig.conserved());
}

TEST_CASE("the inner packets are what counts, not their padding") {
  Rig rig({.lifetime = {.hard_bytes = 300}, .tfc_bytes = 512});
  CHECK(opened(rig, net::Family::v4, 72).size() == 512);
  CHECK(opened(rig, net::Family::v4, 72).size() == 512);
  CHECK(opened(rig, net::Family::v4, 72).size() == 512);
  CHECK(opened(rig, net::Family::v4, 72).empty());
  CHECK(rig.sas->outbound_total(rig.outbound).bytes == 300);
}

TEST_CASE("a dummy leaves under its policy's SA, and no other way") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig;
  const auto dummy = rig.inner(family, 100, false);
  const auto out = rig.run_dummy(dummy).outside;
  REQUIRE(out.size() == 1);
  CHECK(rig.open(out[0]).size() == dummy.size());
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.sas->outbound_total(rig.outbound).packets == 1);
  // Were it in clear, the peer would have it.
  CHECK(rig.run_dummy(rig.inner(family, 100, true)).inside.empty());
  rig.add_policy(net::between({*net::parse_address("0.0.0.0"), 0}, {*net::parse_address("0.0.0.0"), 0}), 1,
                 policy::Decision::bypass());
  if (family == net::Family::v4) CHECK(rig.run_dummy(dummy).outside.empty());
  CHECK(rig.taken(family == net::Family::v4
                      ? Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL
                      : Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL) == (family == net::Family::v4 ? 2 : 1));
  CHECK(rig.conserved());
}

TEST_CASE("a dummy of a tunnel's connection leaves under the tunnel's SA") {
  TunnelRig rig;
  const auto out = rig.run_dummy(rig.inner(net::Family::v4, 100, true), rig.tunnel).outside;
  REQUIRE(out.size() == 1);
  CHECK(rig.open(out[0]).size() == 128);
  rig.tunnels->set(rig.tunnel, policy::Decision::protect_without_sa());
  CHECK(rig.run_dummy(rig.inner(net::Family::v4, 100, true), rig.tunnel).outside.empty());
  CHECK(rig.verdicts() == "FORWARDED=1 OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  CHECK(rig.conserved());
}

TEST_CASE("a dummy is padded like the packets among which it hides") {
  Rig rig({.tfc_bytes = 512});
  const auto out = rig.run_dummy(rig.inner(net::Family::v4, 100, false)).outside;
  REQUIRE(out.size() == 1);
  CHECK(rig.open(out[0]).size() == 512);
}
