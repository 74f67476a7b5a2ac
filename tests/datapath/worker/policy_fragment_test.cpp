// What policies make of fragments: where ports decide, of the packet that they are parts of (RFC 4301 7).
#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/policy/policies.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;
using testing::selector;

namespace {

// Frames to a port, of an identification that none had before.
std::vector<Bytes> parts_of(const Rig& rig, std::uint8_t port, const Bytes& packet,
                            const std::vector<std::size_t>& cuts) {
  static std::uint32_t identification = 0;
  return fragments_of(rig.frame_to(port, packet), cuts, ++identification);
}

Verdict dropped_by(Decision decision, net::Family family) {
  return decision == Decision::discard()
             ? by(family, Verdict::OUT_V4_PKT_HIT_DENY_DROP_SP, Verdict::OUT_V6_PKT_HIT_DENY_DROP_SP)
             : by(family, Verdict::OUT_V4_PKT_HIT_IKE_START_SP, Verdict::OUT_V6_PKT_HIT_IKE_START_SP);
}

}  // namespace

TEST_CASE("fragments do not slip around a policy that goes by ports: it judges the packet that they are of") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const bool from_host = GENERATE(false, true);
  const auto decision = GENERATE(Decision::discard(), Decision::protect_without_sa());
  Rig rig;
  const auto rule =
      rig.add_policy(selector("10.1.0.0/24", "10.2.0.0/16", net::protocol_udp, {}, {9, 9}), 1, decision);
  rig.add_policy(selector("2001:db8:1::/64", "2001:db8:2::/48", net::protocol_udp, {}, {5, 50}), 1, decision);
  const auto whole = rig.inner(family, 48, false);  // 1234 to 9
  const auto parts = parts_of(rig, from_host ? Rig::outside : Rig::inside, whole, {8, 24});
  const auto send_part = [&](const Bytes& part) {
    return (from_host ? rig.run_from_host(Rig::outside, part) : rig.run(Rig::inside, part)).outside;
  };
  for (const auto i : {2u, 0u, 1u}) CHECK(send_part(parts[i]).empty());
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 3);
  CHECK(rig.taken(dropped_by(decision, family)) == 1);
  // Alone a part goes nowhere.
  CHECK(send_part(parts[1]).empty());
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 1);
  CHECK(rig.workers[0]->reassembling() == 1);
  if (family == net::Family::v6) return;
  // Without that policy they are protected one by one.
  rig.policies->remove(rule);
  const auto out = send_part(parts[1]);
  REQUIRE(out.size() == 1);
  CHECK_FALSE(rig.open(out[0]).empty());
}

TEST_CASE("nor do those that hide the protocol behind destination options") {
  Rig rig;
  rig.add_policy(selector("2001:db8:1::/64", "2001:db8:2::/48", net::protocol_udp, {}, {5, 50}), 1,
                 Decision::discard());
  auto whole = rig.inner(net::Family::v6, 48, false);
  const Bytes options{net::protocol_udp, 0, 1, 4, 0, 0, 0, 0};
  whole.insert(whole.begin() + 40, options.begin(), options.end());
  whole[net::ipv6::next_header] = net::protocol_destination_options;
  net::store_be16(whole, net::ipv6::payload_length, static_cast<std::uint16_t>(whole.size() - 40));
  for (const auto& part : parts_of(rig, Rig::inside, whole, {24, 40}))
    CHECK(rig.run(Rig::inside, part).outside.empty());
  CHECK(rig.verdicts() == "REASSEMBLY_PART=3 OUT_V6_PKT_HIT_DENY_DROP_SP=1");
  CHECK(rig.conserved());
}

// RFC 4301 7.4
TEST_CASE("fragments that a policy bypasses by port leave in pieces no larger than they came in") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const bool from_host = GENERATE(false, true);
  const bool v4 = family == net::Family::v4;
  Rig rig;
  rig.add_policy(selector("10.1.0.0/24", "10.2.0.0/16", net::protocol_udp, {}, {9, 9}), 1,
                 Decision::bypass());
  rig.add_policy(selector("2001:db8:1::/64", "2001:db8:2::/48", net::protocol_udp, {}, {9, 9}), 1,
                 Decision::bypass());
  const auto outside_hop = [&] {
    forward::HopIndex hop = 0;
    const auto peer = rig.parameters(false).remote;
    const auto peer4 = peer.v4_value();
    rig.forwarding->route4({&peer4, 1}, &hop);
    return hop;
  }();
  must(rig.forwarding->set_route(*net::parse_prefix(v4 ? "10.2.0.0/16" : "2001:db8:2::/48"), outside_hop));
  auto whole = rig.inner(family, 3000, false);
  for (std::size_t i = whole.size() - 3000; i < whole.size(); ++i)
    whole[i] = static_cast<std::uint8_t>(i * 5 + i / 256);
  std::vector<std::size_t> order{0, 1, 2, 3};
  do {
    const auto parts = parts_of(rig, from_host ? Rig::outside : Rig::inside, whole, {800, 1600, 2400});
    std::vector<Bytes> sent;
    for (const auto i : order)
      for (auto& frame :
           (from_host ? rig.run_from_host(Rig::outside, parts[i]) : rig.run(Rig::inside, parts[i])).outside)
        sent.push_back(std::move(frame));
    REQUIRE(sent.size() == 4);
    for (const auto& frame : sent) CHECK(frame.size() <= parts[0].size());
    CHECK(joined(sent) == (from_host ? joined(parts) : forwarded(joined(parts))));
    CHECK(rig.verdicts() == "FORWARDED=4 REASSEMBLY_PART=4 FRAGMENTED=1");
  } while (std::ranges::next_permutation(order).found);
  CHECK(rig.workers[0]->reassembling() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("fragments that a policy protects by port go under its SA in one packet") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.selectors = {selector("10.1.0.0/24", "10.2.0.0/16", net::protocol_udp, {}, {9, 9}),
                         selector("2001:db8:1::/64", "2001:db8:2::/48", net::protocol_udp, {}, {9, 9})}});
  rig.sas->outbound(rig.outbound).path_mtu = GENERATE(std::uint16_t{1400}, sa::path_mtu_unknown);
  const auto parts = parts_of(rig, Rig::inside, rig.inner(family, 3000, false), {1400, 2800});
  std::vector<Bytes> sent;
  for (const auto& part : parts)
    for (auto& frame : rig.run(Rig::inside, part).outside) sent.push_back(std::move(frame));
  CHECK(sent.size() == 3);
  CHECK(rig.open(rig.frame_to(Rig::outside, joined(sent))) == forwarded(joined(parts)));
  CHECK(rig.verdicts() == "FORWARDED=3 REASSEMBLY_PART=3 FRAGMENTED=1");
  CHECK(rig.conserved());
}

TEST_CASE("fragments that come in clear are judged as the packet that they are of") {
  const bool to_gateway = GENERATE(false, true);
  Rig rig;
  rig.add_policy(selector("0.0.0.0/0", "10.2.0.9", net::protocol_tcp, {}, {1234, 1234}), 1,
                 Decision::bypass());
  rig.add_policy(selector("0.0.0.0/0", "10.2.0.9", net::protocol_tcp, {}, {1235, 1235}), 2,
                 Decision::discard());
  const auto arrives = [&](std::uint16_t port) {
    auto whole = rig.inner(net::Family::v4, 600, true);
    whole[net::ipv4::protocol] = net::protocol_tcp;
    net::store_be16(whole, 20, port);
    const std::uint8_t us[] = {192, 0, 2, 1};
    if (to_gateway) std::ranges::copy(us, whole.begin() + net::ipv4::destination);
    mend_checksum(whole);
    const auto parts = parts_of(rig, Rig::outside, whole, {400});
    std::vector<Bytes> found;
    for (const auto& part : parts) {
      const auto out = rig.run(Rig::outside, part);
      found.insert(found.end(), out.inside.begin(), out.inside.end());
      found.insert(found.end(), out.host.begin(), out.host.end());
    }
    return !found.empty() && joined(found) == (to_gateway ? joined(parts) : forwarded(joined(parts)));
  };
  CHECK(arrives(1234));
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 2);
  CHECK_FALSE(arrives(1235));
  CHECK(rig.taken(to_gateway ? Verdict::IN_US_CL_V4_PKT_FAILED_POLICY
                             : Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY) == 1);
  CHECK(rig.large_buffers_in_use() == 0);
  CHECK(rig.conserved());
}
