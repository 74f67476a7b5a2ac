// Fragments inside of SAs whose selectors name ports: judged as the packet that they are of (RFC 4301 7).
#include <rte_mbuf.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/policy/policies.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"
#include "tests/datapath/worker/taken_buffers.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;
using testing::selector;

namespace {

// An SA for one UDP port of ours; the rig's packets go to 9.
SaOptions for_port(std::uint16_t port) {
  return {.selectors = {selector("0.0.0.0/0", "10.2.0.0/16", net::protocol_udp, {port, port}),
                        selector("::/0", "2001:db8:2::/48", net::protocol_udp, {port, port})}};
}

// Frames of the parts, of an identification that none had before.
std::vector<Bytes> cut(const Rig& rig, const Bytes& packet, const std::vector<std::size_t>& cuts) {
  static std::uint32_t identification = 0;
  return fragments_of(rig.frame_to(Rig::outside, packet), cuts, ++identification);
}

// The same as the peer sends it.
Bytes in_esp(const Rig& rig, const Bytes& part, std::uint64_t sequence) {
  const Bytes packet(part.begin() + net::ethernet_bytes, part.end());
  return rig.esp_frame(sequence, packet, packet[0] >> 4 == 4 ? net::protocol_ipv4 : net::protocol_ipv6);
}

}  // namespace

TEST_CASE("fragments out of an SA for ports go on, as the packet that they are of") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig(for_port(9));
  std::vector<std::size_t> order{0, 1, 2};
  std::uint64_t sequence = 0;
  do {
    const auto parts = cut(rig, rig.inner(family, 600, true), {208, 416});
    std::vector<Bytes> arrived;
    for (const auto i : order)
      for (auto& frame : rig.run(Rig::outside, in_esp(rig, parts[i], ++sequence)).inside)
        arrived.push_back(std::move(frame));
    CHECK(joined(arrived) == forwarded(joined(parts)));
    for (const auto& frame : arrived) CHECK(frame.size() <= parts[0].size());
    CHECK(rig.verdicts() == "FORWARDED=3 REASSEMBLY_PART=3 FRAGMENTED=1");
  } while (std::ranges::next_permutation(order).found);
  CHECK(rig.sas->inbound_usage(0, rig.inbound).packets.load() == sequence);
  CHECK(rig.workers[0]->reassembling() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("fragments of a packet that is not for the SA's ports are dropped with it") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig(for_port(10));
  const auto parts = cut(rig, rig.inner(family, 600, true), {304});
  for (std::size_t i = 0; i < parts.size(); ++i)
    CHECK(rig.run(Rig::outside, in_esp(rig, parts[i], i + 1)).inside.empty());
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 2);
  const auto verdict =
      by(family, Verdict::IN_V4_POST_INPUT_POLICY_FAIL, Verdict::IN_V6_POST_INPUT_POLICY_FAIL);
  CHECK(rig.taken(verdict) == 1);
  CHECK(rig.sas->inbound_faults(rig.inbound).of(verdict) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("a fragment in clear never completes a packet that came through an SA") {
  Rig rig(for_port(9));
  rig.add_policy(selector("10.1.0.0/24", "10.2.0.0/16", net::protocol_udp, {9, 9}), 1, Decision::bypass());
  const auto parts = cut(rig, rig.inner(net::Family::v4, 600, true), {304});
  CHECK(rig.run(Rig::outside, in_esp(rig, parts[0], 1)).inside.empty());
  CHECK(rig.run(Rig::outside, parts[1]).inside.empty());
  CHECK(rig.verdicts() == "REASSEMBLY_PART=2");
  CHECK(rig.workers[0]->reassembling() == 2);
  CHECK(joined(rig.run(Rig::outside, in_esp(rig, parts[1], 2)).inside) == forwarded(joined(parts)));
}

TEST_CASE("a packet's fragments may straddle a rekey, but no other connection's SA completes it") {
  const auto owner = GENERATE(std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{0});
  auto options = for_port(9);
  options.owner = 1;
  Rig rig(options);
  const auto parts = cut(rig, rig.inner(net::Family::v4, 600, true), {304});
  CHECK(rig.run(Rig::outside, in_esp(rig, parts[0], 1)).inside.empty());
  rig.options.inbound_spi = 0x1002;
  const auto next = must(rig.sas->reserve_inbound(rig.options.inbound_spi));
  must(rig.sas->install_inbound(next, rig.parameters(true), owner));
  const auto arrived = rig.run(Rig::outside, in_esp(rig, parts[1], 1)).inside;
  if (owner == 1) {
    CHECK(joined(arrived) == forwarded(joined(parts)));
    CHECK(rig.verdicts() == "FORWARDED=2 REASSEMBLY_PART=2 FRAGMENTED=1");
    CHECK(rig.workers[0]->reassembling() == 0);
  } else {
    CHECK(arrived.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=2");
    CHECK(rig.workers[0]->reassembling() == 2);
  }
}

TEST_CASE("forged outer fragments do not push out those that came through an SA") {
  Rig rig(for_port(9));
  const auto parts = cut(rig, rig.inner(net::Family::v4, 600, true), {304});
  CHECK(rig.run(Rig::outside, in_esp(rig, parts[0], 1)).inside.empty());
  const auto forged = rig.esp_frame(2, rig.inner(net::Family::v4, 600, true), net::protocol_ipv4);
  const auto flows = rig.options.reassembly_flows;
  for (std::uint32_t i = 0; i < 2 * flows; ++i)
    rig.run(Rig::outside, fragments_of(forged, std::vector<std::size_t>{304}, 1'000 + i)[0]);
  CHECK(rig.workers[0]->reassembling() == flows + 1);
  CHECK(joined(rig.run(Rig::outside, in_esp(rig, parts[1], 3)).inside) == forwarded(joined(parts)));
}

TEST_CASE("decrypted fragments that ports decide about leave as the packet that they are of") {
  Rig rig({.selectors = {selector("0.0.0.0/0", "10.2.0.0/16")}});
  const auto decision = GENERATE(Decision::bypass(), Decision::discard());
  rig.add_policy(selector("10.2.0.0/16", "192.0.2.2", net::protocol_udp, {}, {9, 9}), 1, decision);
  auto whole = rig.inner(net::Family::v4, 600, true);
  const std::uint8_t elsewhere[] = {192, 0, 2, 2};
  std::ranges::copy(elsewhere, whole.begin() + net::ipv4::destination);
  mend_checksum(whole);
  const auto parts = cut(rig, whole, {304});
  std::vector<Bytes> left;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (auto& frame : rig.run(Rig::outside, in_esp(rig, parts[i], i + 1)).outside)
      left.push_back(std::move(frame));
  if (decision == Decision::bypass()) {
    CHECK(joined(left) == forwarded(joined(parts)));
    CHECK(rig.verdicts() == "FORWARDED=2 REASSEMBLY_PART=2 FRAGMENTED=1");
  } else {
    CHECK(left.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=2 OUT_V4_PKT_HIT_DENY_DROP_SP=1");
  }
  CHECK(rig.conserved());
}

TEST_CASE(
    "what fragments out of an SA for ports become leaves by an outside port only where a policy says so") {
  Rig rig(for_port(9));
  auto whole = rig.inner(net::Family::v4, 600, true);
  const std::uint8_t elsewhere[] = {192, 0, 2, 2};
  std::ranges::copy(elsewhere, whole.begin() + net::ipv4::destination);
  mend_checksum(whole);
  const auto parts = cut(rig, whole, {304});
  for (std::size_t i = 0; i < parts.size(); ++i)
    CHECK(rig.run(Rig::outside, in_esp(rig, parts[i], i + 1)).outside.empty());
  CHECK(rig.verdicts() == "REASSEMBLY_PART=2 OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  CHECK(rig.conserved());
}

TEST_CASE("without a large buffer fragments out of an SA for ports are dropped by name") {
  Rig rig(for_port(9));
  TakenBuffers taken(rig.shared.large_buffers);
  const auto parts = cut(rig, rig.inner(net::Family::v4, 600, true), {304});
  for (std::size_t i = 0; i < parts.size(); ++i)
    CHECK(rig.run(Rig::outside, in_esp(rig, parts[i], i + 1)).inside.empty());
  CHECK(rig.verdicts() == "PKT_BUFFER_UNAVAILABLE=2");
  taken.give_back();
  CHECK(rig.conserved());
}
