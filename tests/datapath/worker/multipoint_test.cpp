// Multipoint GRE: which peer a packet goes to, by routes, what goes to all of them, and what comes from any.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/datapath/worker/gre_rig.hpp"
#include "tests/datapath/worker/watched_pool.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;

namespace {

constexpr std::uint32_t second_outbound_spi = 0x2002, second_inbound_spi = 0x1002;

// The rig's tunnel is the first of two peers, at 10.255.0.2 with 10.2.0.0/16 behind it; the second is at
// 10.255.0.3 with 10.4.0.0/16 and 2001:db8:4::/48. Both have the same outer addresses, and SAs of their own.
struct MultipointRig : GreRig {
  tunnel::Index shared_link, second;
  std::uint32_t second_sa;

  MultipointRig() : GreRig({.key = 7, .checksum = true}) {
    shared_link = must(tunnels->add({.gre = true, .options = gre, .multipoint = true}));
    const tunnel::Traits peer{.gre = true, .options = gre, .peer_of = shared_link};
    tunnels->change(tunnel, peer);
    second = must(tunnels->add(peer));
    auto sending = parameters(false);
    sending.spi = second_outbound_spi;
    second_sa = must(sas->install_outbound(sending));
    tunnels->set(second, Decision::protect(second_sa));
    auto receiving = parameters(true);
    receiving.spi = second_inbound_spi;
    const auto index = must(sas->reserve_inbound(second_inbound_spi));
    must(sas->install_inbound(index, receiving));
    tunnels->bind_inbound(index, second);
    lead_into(shared_link, "10.255.0.0/24");
    lead_into(tunnel, "10.255.0.2/32");
    for (const char* network : {"10.255.0.3/32", "10.4.0.0/16", "2001:db8:4::/48"})
      lead_into(second, network);
  }
  // The SPI that a packet to `destination` leaves with; 0: it does not leave.
  std::uint32_t spi_to(const char* destination, bool from_kernel) {
    const auto packet = redirected(
        inner(std::strchr(destination, ':') == nullptr ? net::Family::v4 : net::Family::v6, 40, false),
        destination);
    const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + shared_link);
    const auto out = from_kernel ? run_from_host(link, packet) : from_inside(packet);
    return out.outside.empty() ? 0 : net::load_be32(out.outside[0], 14 + 20);
  }
  // What becomes of the kernel's own packet into the link: the SPIs that copies of it left with, in order.
  std::vector<std::uint32_t> spis_of(const Bytes& packet) {
    const auto out =
        run_from_host(static_cast<std::uint16_t>(worker::first_tunnel_link + shared_link), packet);
    std::vector<std::uint32_t> spis;
    for (const auto& frame : out.outside) spis.push_back(net::load_be32(frame, 14 + 20));
    std::ranges::sort(spis);
    return spis;
  }
  static Bytes hello(const Rig& rig, const char* group = "224.0.0.5") {
    const bool v4 = std::strchr(group, ':') == nullptr;
    auto packet = rig.inner(v4 ? net::Family::v4 : net::Family::v6, 40, false);
    packet[v4 ? net::ipv4::ttl : net::ipv6::hop_limit] = 1;
    return redirected(packet, group);
  }
  Output from_second(const Bytes& packet) {
    options.inbound_spi = second_inbound_spi;
    return gre_from_peer(packet);
  }
  std::uint64_t drops_of(tunnel::Index index) const { return tunnels->at(index).drops.load(); }
};

}  // namespace

TEST_CASE("a packet into a multipoint tunnel goes to the peer that its route names") {
  const bool from_kernel = GENERATE(false, true);
  MultipointRig rig;
  for (const char* first : {"10.2.0.9", "2001:db8:2::9", "10.255.0.2"})
    CHECK(rig.spi_to(first, from_kernel) == Rig::outbound_spi);
  for (const char* second : {"10.4.0.9", "2001:db8:4::9", "10.255.0.3"})
    CHECK(rig.spi_to(second, from_kernel) == second_outbound_spi);
  CHECK(rig.verdicts() == "FORWARDED=6");
  CHECK(rig.conserved());
}

TEST_CASE("an address of the tunnel's network that no peer has is nobody's") {
  const bool from_kernel = GENERATE(false, true);
  MultipointRig rig;
  CHECK(rig.spi_to("10.255.0.4", from_kernel) == 0);
  CHECK(rig.verdicts() == "GRE_NEXT_HOP_UNKNOWN=1");
  CHECK(rig.drops_of(rig.shared_link) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("what the kernel sends into the link and no route gives to one of its peers is dropped") {
  MultipointRig rig;
  const auto elsewhere = must(rig.tunnels->add());
  rig.tunnels->set(elsewhere, Decision::protect(rig.outbound));
  rig.lead_into(elsewhere, "10.5.0.0/16");
  for (const char* destination : {"10.77.0.1", "10.5.0.1", "fe80::5", "10.1.0.9"})
    CHECK(rig.spi_to(destination, true) == 0);
  CHECK(rig.verdicts() == "GRE_NEXT_HOP_UNKNOWN=4");
  CHECK(rig.conserved());
}

TEST_CASE("what any of the peers sends comes out of the tunnel") {
  MultipointRig rig;
  const auto ours = redirected(rig.inner(net::Family::v4, 10, true), "10.1.0.1");
  const auto gre = GreRig::wrapped(ours, rig.gre);
  CHECK(rig.gre_from_peer(gre).host.size() == 1);
  CHECK(rig.from_second(gre).host.size() == 1);
  const auto port = [](tunnel::Index index) {
    return static_cast<std::uint16_t>(worker::first_tunnel_link + index);
  };
  CHECK(rig.host_ports == std::vector{port(rig.tunnel), port(rig.second)});
  CHECK(rig.from_second(GreRig::wrapped(rig.inner(net::Family::v6, 10, true), rig.gre)).inside.size() == 1);
  rig.from_second(GreRig::wrapped(ours, {.key = 8}));
  CHECK(rig.drops_of(rig.second) == 1);
  CHECK(rig.verdicts() == "FORWARDED=1 TO_HOST=2 GRE_KEY_MISMATCH=1");
  CHECK(rig.conserved());
}

TEST_CASE("spokes reach each other through the multipoint tunnel that both are peers of") {
  MultipointRig rig;
  const auto packet = redirected(rig.inner(net::Family::v4, 40, true), "10.4.0.9");
  CHECK(rig.gre_from_peer(GreRig::wrapped(packet, rig.gre)).outside.size() == 1);
  CHECK(rig.sas->outbound_total(rig.second_sa).packets == 1);
  CHECK(rig.conserved());
}

TEST_CASE("a peer without an SA drops, and the others go on") {
  MultipointRig rig;
  rig.tunnels->set(rig.second, Decision::protect_without_sa());
  CHECK(rig.spi_to("10.4.0.9", false) == 0);
  CHECK(rig.spi_to("10.2.0.9", false) == Rig::outbound_spi);
  CHECK(rig.verdicts() == "FORWARDED=1 OUT_V4_PKT_HIT_IKE_START_SP=1");
  CHECK(rig.drops_of(rig.second) == 1);
  // Nor does what lies behind it come in clear.
  const auto spoofed = redirected(rig.inner(net::Family::v4, 40, false), "10.1.0.9");
  auto source = spoofed;
  source[net::ipv4::source + 1] = 4;
  mend_checksum(source);
  rig.run(Rig::outside, rig.frame_to(Rig::outside, source));
  CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
  CHECK(rig.conserved());
}

TEST_CASE("multicast of the kernel's goes to each peer once, as it is") {
  const auto* group = GENERATE("224.0.0.5", "239.1.2.3", "255.255.255.255", "ff02::5", "ff0e::1");
  MultipointRig rig;
  const auto packet = MultipointRig::hello(rig, group);
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.shared_link);
  const auto out = rig.run_from_host(link, packet);
  REQUIRE(out.outside.size() == 2);
  for (const auto& frame : out.outside)
    if (net::load_be32(frame, 14 + 20) == Rig::outbound_spi)
      CHECK(rig.open(frame) == GreRig::wrapped(packet, rig.gre));
  CHECK(rig.sas->outbound_total(rig.outbound).packets == 1);
  CHECK(rig.sas->outbound_total(rig.second_sa).packets == 1);
  CHECK(rig.verdicts() == "FORWARDED=2 REPLICATED=1");
  CHECK(rig.conserved());
}

TEST_CASE("multicast for a peer without an SA is dropped there, and reaches the others") {
  MultipointRig rig;
  rig.tunnels->set(rig.second, Decision::protect_without_sa());
  CHECK(rig.spis_of(MultipointRig::hello(rig)) == std::vector{Rig::outbound_spi});
  CHECK(rig.verdicts() == "FORWARDED=1 REPLICATED=1 OUT_V4_PKT_HIT_IKE_START_SP=1");
  CHECK(rig.drops_of(rig.second) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("multicast follows peers that come and go") {
  MultipointRig rig;
  const auto hello = MultipointRig::hello(rig);
  const auto third = must(rig.tunnels->add({.gre = true, .options = rig.gre, .peer_of = rig.shared_link}));
  rig.tunnels->set(third, Decision::protect(rig.second_sa));
  CHECK(rig.spis_of(hello) == std::vector{Rig::outbound_spi, second_outbound_spi, second_outbound_spi});
  rig.tunnels->remove(rig.second);  // the middle one
  CHECK(rig.spis_of(hello) == std::vector{Rig::outbound_spi, second_outbound_spi});
  rig.tunnels->change(third, {.gre = true, .options = {.key = 8}, .peer_of = rig.shared_link});
  CHECK(rig.spis_of(hello).size() == 2);
  rig.tunnels->remove(third);
  CHECK(rig.spis_of(hello) == std::vector{Rig::outbound_spi});
  rig.tunnels->remove(rig.tunnel);
  CHECK(rig.verdicts() == "FORWARDED=8 REPLICATED=4");
  CHECK(rig.spis_of(hello).empty());
  CHECK(rig.verdicts() == "GRE_NEXT_HOP_UNKNOWN=1");
  CHECK(rig.conserved());
}

TEST_CASE("multicast to more peers than a burst has packets reaches them all") {
  MultipointRig rig;
  constexpr unsigned more = 2 * worker::burst_max;
  for (unsigned i = 0; i < more; ++i)
    rig.tunnels->set(must(rig.tunnels->add({.gre = true, .options = rig.gre, .peer_of = rig.shared_link})),
                     Decision::protect(rig.second_sa));
  CHECK(rig.spis_of(MultipointRig::hello(rig)).size() == 2 + more);
  CHECK(rig.taken(Verdict::FORWARDED) == 2 + more);
  CHECK(rig.taken(Verdict::REPLICATED) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("a burst of multicast is copied packet by packet, beside what is for one peer") {
  MultipointRig rig;
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.shared_link);
  constexpr unsigned hellos = 20;
  for (unsigned i = 0; i < hellos; ++i)
    for (const auto& packet :
         {MultipointRig::hello(rig), redirected(rig.inner(net::Family::v4, 40, false), "10.4.0.9")}) {
      auto* mbuf = buffer_with(rig.shared.buffers, packet);
      mbuf->port = link;
      REQUIRE(rte_ring_enqueue(rig.shared.rings.inject, mbuf) == 0);
    }
  const auto out = rig.run_from_host(link, MultipointRig::hello(rig));
  CHECK(out.outside.size() == 3 * hellos + 2);
  CHECK(rig.taken(Verdict::REPLICATED) == hellos + 1);
  CHECK(rig.taken(Verdict::FORWARDED) == 3 * hellos + 2);
  CHECK(rig.conserved());
}

TEST_CASE("multicast from inside is nobody's, and policy still comes first") {
  MultipointRig rig;
  rig.lead_into(rig.shared_link, "239.0.0.0/8");
  CHECK(rig.from_inside(redirected(rig.inner(net::Family::v4, 40, false), "239.1.2.3")).outside.empty());
  CHECK(rig.verdicts() == "MULTICAST_NOT_FORWARDED=1");
  rig.policy_for_all(1, Decision::discard());
  CHECK(rig.spis_of(MultipointRig::hello(rig)).empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_DENY_DROP_SP=1");
  CHECK(rig.conserved());
}

TEST_CASE("copy n of a multicast packet finds no buffer, for every n, and the rest counts as one") {
  constexpr unsigned copies = 2;
  MultipointRig rig;
  const WatchedPool pool("watched", 127, RTE_MBUF_DEFAULT_BUF_SIZE);
  auto* const all = std::exchange(rig.shared.buffers, pool.get());
  for (unsigned n = 0; n <= copies; ++n) {
    CAPTURE(n);
    WatchedPool::allocations = 0;
    WatchedPool::failing = n;
    CHECK(rig.spis_of(MultipointRig::hello(rig)).size() == n);
    CHECK(rig.taken(Verdict::FORWARDED) == n);
    CHECK(rig.taken(Verdict::PKT_BUFFER_UNAVAILABLE) == (n < copies ? 1 : 0));
    CHECK(pool.in_use() == 0);
  }
  WatchedPool::failing = ~0u;
  rig.shared.buffers = all;
  CHECK(rig.conserved());
}
