// The outer header's fields: what is copied, what is set, what is made.
#include <catch2/catch.hpp>
#include <set>

#include "datapath/net/congestion.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// The outer IP header that an inner packet gets.
Bytes outer_of(Rig& rig, const Bytes& inner) {
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
  REQUIRE(out.outside.size() == 1);
  REQUIRE_FALSE(rig.open(out.outside[0]).empty());
  return Bytes(out.outside[0].begin() + 14, out.outside[0].begin() + 14 + 40);
}

Bytes inner_with(const Rig& rig, std::uint8_t tos, bool dont_fragment) {
  auto inner = rig.inner(net::Family::v4, 20, false);
  inner[net::ipv4::tos] = tos;
  inner[net::ipv4::fragment] = dont_fragment ? 0x40 : 0;
  mend_checksum(inner);
  return inner;
}

std::uint32_t label_of(const Bytes& outer) {
  return net::load_be32(outer, 0) & 0xfffff;
}

}  // namespace

TEST_CASE("DSCP is copied or fixed, ECN copied or left out") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const auto dscp = GENERATE(std::optional<std::uint8_t>{}, std::optional<std::uint8_t>{10});
  const bool ecn = GENERATE(true, false);
  Rig rig({.outer = family, .outer_fields = {.dscp = dscp, .ecn = ecn}});
  const auto outer = outer_of(rig, inner_with(rig, 46 << 2 | 2, false));
  CHECK(net::traffic_class(outer.data(), family) == (dscp.value_or(46) << 2 | (ecn ? 2 : 0)));
  if (family == net::Family::v4) CHECK(net::header_sum(std::span(outer).first(20)) == 0xffff);
}

TEST_CASE("DF is copied, set or clear; only without it a packet has an identification") {
  using enum sa::DfPolicy;
  const auto policy = GENERATE(copy, set, clear);
  const bool inner_df = GENERATE(true, false);
  Rig rig({.outer_fields = {.df = policy}});
  std::set<std::uint16_t> identifications;
  for (int i = 0; i < 5; ++i) {
    const auto outer = outer_of(rig, inner_with(rig, 0, inner_df));
    const bool expected = policy == set || (policy == copy && inner_df);
    CHECK(outer[net::ipv4::fragment] == (expected ? 0x40 : 0));
    identifications.insert(net::load_be16(outer, net::ipv4::identification));
    CHECK(net::header_sum(std::span(outer).first(20)) == 0xffff);
    if (expected) CHECK(identifications == std::set<std::uint16_t>{0});
  }
  if (policy == clear) CHECK(identifications.size() == 5);
}

TEST_CASE("an inner IPv6 packet counts as one with DF set") {
  Rig rig;
  CHECK(outer_of(rig, rig.inner(net::Family::v6, 20, false))[net::ipv4::fragment] == 0x40);
}

TEST_CASE("TTL and hop limit are the SA's") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = family, .outer_fields = {.hop_limit = 17}});
  const auto outer = outer_of(rig, rig.inner(net::Family::v4, 20, false));
  CHECK(outer[family == net::Family::v4 ? net::ipv4::ttl : net::ipv6::hop_limit] == 17);
}

TEST_CASE("the flow label follows the inner flow") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = net::Family::v6});
  auto inner = rig.inner(family, 20, false);
  const auto label = label_of(outer_of(rig, inner));
  CHECK(label != 0);
  CHECK(label_of(outer_of(rig, rig.inner(family, 700, false))) == label);
  std::set<std::uint32_t> labels{label};
  for (std::uint8_t i = 1; i <= 20; ++i) {
    auto other = inner;
    other[family == net::Family::v4 ? net::ipv4::destination + 3 : net::ipv6::destination + 15] = i;
    if (family == net::Family::v4) mend_checksum(other);
    labels.insert(label_of(outer_of(rig, other)));
  }
  CHECK(labels.size() >= 20);
  if (family == net::Family::v6) {
    inner[3] = 9;  // another inner label is another flow between the same two
    CHECK(label_of(outer_of(rig, inner)) != label);
  }
}

TEST_CASE("the flow label is the process's secret, whatever the SA's key") {
  const auto label = [](crypto::SuiteId suite) {
    Rig rig({.outer = net::Family::v6, .suite = suite});
    return label_of(outer_of(rig, rig.inner(net::Family::v4, 20, false)));
  };
  const auto suite = GENERATE(crypto::SuiteId::aes_cbc_128_sha1, crypto::SuiteId::aes_gcm_16_128);
  CHECK(label(suite) != label(suite));
}

TEST_CASE("without flow labels the field is 0") {
  Rig rig({.outer = net::Family::v6, .outer_fields = {.flow_label = false}});
  CHECK(label_of(outer_of(rig, rig.inner(net::Family::v4, 20, false))) == 0);
}

TEST_CASE("UDP over IPv6 carries a checksum, over IPv4 none") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = family, .encapsulation = sa::Encapsulation::udp});
  for (const std::size_t payload : {0u, 1u, 2u, 3u, 1200u}) {
    const auto out =
        rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, payload, false)));
    REQUIRE(out.outside.size() == 1);
    Bytes packet(out.outside[0].begin() + 14, out.outside[0].end());
    const auto datagram = std::span(packet).subspan(family == net::Family::v4 ? 20 : 40);
    const auto checksum = net::load_be16(datagram, 6);
    if (family == net::Family::v4) {
      CHECK(checksum == 0);
      continue;
    }
    net::store_be16(datagram, 6, 0);
    CHECK(checksum == net::upper_checksum(std::span(packet).subspan(8, 32), 17, datagram));
  }
}
