// VLAN tags of a port: none, one, or two, in the frame or taken off by the card.
#include "datapath/net/vlan.hpp"

#include <rte_mbuf.h>

#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::size_t addresses_bytes = 12;

Bytes tagged(Bytes frame, net::Vlans vlans) {
  Bytes tags(net::tag_bytes(vlans));
  net::write_tags(tags.data(), vlans);
  frame.insert(frame.begin() + addresses_bytes, tags.begin(), tags.end());
  return frame;
}

// A rig whose inside port carries these tags.
struct TaggedRig : Rig {
  explicit TaggedRig(net::Vlans vlans) { shared.ports[inside]->vlans = vlans; }

  Bytes packet() const { return frame_to(inside, inner(net::Family::v4, 40, false)); }
  // The frame as a card gives it that has taken off a tag of this id.
  std::size_t passes_stripped(const Bytes& frame, std::uint16_t id) {
    auto* mbuf = buffer_with(shared.buffers, frame);
    mbuf->vlan_tci = static_cast<std::uint16_t>(0xe000 | id);  // of some priority
    mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    workers[0]->process_frames(&mbuf, 1, inside);
    return run(inside, Bytes(1)).outside.size();  // a runt, to collect what left
  }
};

constexpr net::Vlans one = 100, two = net::vlans_of(7, 100), swapped = net::vlans_of(100, 7);

}  // namespace

TEST_CASE("frames with a port's own tags are taken, and no others") {
  const auto own = GENERATE(net::Vlans{0}, one, two);
  TaggedRig rig(own);
  for (const auto vlans : {net::Vlans{0}, one, net::Vlans{7}, two, swapped}) {
    CHECK(rig.run(Rig::inside, tagged(rig.packet(), vlans)).outside.size() == (vlans == own ? 1 : 0));
    CHECK(rig.verdicts() == (vlans == own ? "FORWARDED=1" : "ETH_VLAN_UNKNOWN=1"));
  }
  CHECK(rig.conserved());
}

TEST_CASE("a card that takes tags off takes the first one, and what is behind it counts as well") {
  SECTION("one tag") {
    TaggedRig rig(one);
    CHECK(rig.passes_stripped(rig.packet(), 100) == 1);
    CHECK(rig.passes_stripped(rig.packet(), 101) == 0);
    CHECK(rig.passes_stripped(tagged(rig.packet(), 100), 100) == 0);
    CHECK(rig.conserved());
  }
  SECTION("two tags") {
    TaggedRig rig(two);
    CHECK(rig.passes_stripped(tagged(rig.packet(), 100), 7) == 1);
    CHECK(rig.passes_stripped(tagged(rig.packet(), 7), 100) == 0);
    CHECK(rig.passes_stripped(rig.packet(), 7) == 0);
    CHECK(rig.passes_stripped(tagged(rig.packet(), two), 7) == 0);
    CHECK(rig.conserved());
  }
}

TEST_CASE("the kernel sees no tags, and what it sends gets them") {
  const auto vlans = GENERATE(net::Vlans{0}, one, two);
  TaggedRig rig(vlans);
  const Bytes arp{2, 0, 0, 0, 1, 9, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  const auto sent = rig.run_from_host(Rig::inside, arp);
  REQUIRE(sent.inside.size() == 1);
  CHECK(sent.inside[0] == tagged(arp, vlans));
  Bytes to_all = arp;
  std::fill_n(to_all.begin(), 6, std::uint8_t{0xff});
  const auto received = rig.run(Rig::inside, tagged(to_all, vlans));
  REQUIRE(received.link.size() == 1);
  CHECK(received.link[0] == to_all);
  CHECK(rig.conserved());
}

TEST_CASE("either type of tag may come first, and priority tags do not count") {
  TaggedRig rig(two);
  const auto good = tagged(rig.packet(), two);
  for (const std::uint16_t type : {net::ethertype_vlan, net::ethertype_service}) {
    auto frame = good;
    net::store_be16(frame, addresses_bytes, type);
    net::store_be16(frame, addresses_bytes + 2, 0xa000 | 7);
    CHECK(rig.run(Rig::inside, frame).outside.size() == 1);
  }
  CHECK(rig.conserved());
}
