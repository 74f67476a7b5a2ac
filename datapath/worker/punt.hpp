// From the workers to the control core: one bounded ring a class, each with a rate limit a worker, so
// that a flood of one kind neither grows memory nor starves the others. What does not fit is counted.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <array>
#include <cstdint>

#include "datapath/base/expected.hpp"
#include "datapath/forward/forwarding.hpp"
#include "datapath/net/address.hpp"
#include "datapath/net/refusal.hpp"
#include "datapath/port/port.hpp"
#include "datapath/sa/lifetime.hpp"
#include "datapath/sa/spi_miss.hpp"
#include "datapath/tunnel/tunnel_table.hpp"
#include "datapath/verdict/counters.hpp"

namespace espgate::worker {

// A token bucket over the TSC. One thread.
class RateLimit {
 public:
  // Allows `per_second` on average and a burst of a tenth of that (at least 32).
  RateLimit(std::uint32_t per_second, std::uint64_t tsc_hz);
  bool take(std::uint64_t now_tsc) {
    if (tokens_ == 0) refill(now_tsc);
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  void refill(std::uint64_t now_tsc);
  std::uint64_t cycles_per_token_;
  std::uint64_t burst_;
  std::uint64_t tokens_;
  std::uint64_t last_tsc_ = 0;
};

// A packet met a hop whose next station has no MAC address yet; the kernel is to ask for it.
struct NeighbourWanted {
  forward::HopIndex hop;
  net::Address destination;  // the packet's: whom to ask for on a connected network
  std::uint8_t unused[3];
};
static_assert(sizeof(NeighbourWanted) == 24);

// A good ESP packet, the newest of its SA, came from another address or port than the SA's peer had.
struct PeerMoved {
  std::uint8_t address[16];  // network order, IPv4 in the first four
  std::uint32_t spi;         // of the inbound SA
  std::uint16_t port;        // UDP source port, host order
  net::Family family;
  std::uint8_t unused;
};
static_assert(sizeof(PeerMoved) == 24);

// mbuf->port in `inject` of a whole IP packet without Ethernet header that control made: an outer packet, to
// be routed as it is, or a cleartext one, which meets policy like any other, or a dummy, which goes under the
// SA that policy names for it, or the tunnel of the index in mbuf->hash.usr.
inline constexpr std::uint16_t from_control = 0xffff;
inline constexpr std::uint16_t clear_from_control = 0xfffe;
inline constexpr std::uint16_t dummy_from_control = 0xfffd;

// What a packet in `refused` says beside itself. It begins with its IP header and may have been cut at the
// end. mbuf->port is the port whose address is to speak, or one of the two marks above if the kernel sent it.
inline void set_refusal(rte_mbuf& refused, net::Refusal refusal) {
  refused.hash.usr = std::uint32_t{refusal.largest} << 8 | static_cast<std::uint32_t>(refusal.why);
}
inline net::Refusal refusal_of(const rte_mbuf& refused) {
  return {static_cast<net::Refusal::Why>(refused.hash.usr & 0xff),
          static_cast<std::uint16_t>(refused.hash.usr >> 8)};
}

// mbuf->port of a whole IP packet for the kernel's link of a tunnel, or from there: this and the tunnel's
// index.
inline constexpr std::uint16_t first_tunnel_link = port::ports_max;
static_assert(first_tunnel_link + tunnel::most_tunnels < dummy_from_control);

// Many producers (workers), one consumer (control), but for `inject`, which goes the other way. A punted
// packet is an mbuf with an untagged Ethernet frame; mbuf->port is the index of the port whose twin gets it
// or gave it, or names a tunnel's link. Ownership passes with the ring.
struct PuntRings {
  rte_ring* link = nullptr;       // rte_mbuf*: ARP, ND, LLDP, OSPF, …, without which nothing else works
  rte_ring* host = nullptr;       // rte_mbuf*: what is sent to our addresses
  rte_ring* inner = nullptr;      // rte_mbuf*: the same, of what came encrypted
  rte_ring* ike_known = nullptr;  // rte_mbuf*, frames like host's: IKE messages to SPIs of ours
  rte_ring* ike = nullptr;        // the same, all others: who begins, and what anybody may make up
  rte_ring* spi_known = nullptr;  // sa::SpiMiss by value: of SPIs that are larval here or were retired
  rte_ring* spi = nullptr;        // the same, of all others, which anybody may make up
  rte_ring* neighbour = nullptr;  // NeighbourWanted by value
  rte_ring* peer = nullptr;       // PeerMoved by value
  rte_ring* refused = nullptr;    // rte_mbuf*, whose senders are to be told by ICMP
  rte_ring* lifetime = nullptr;   // sa::LifetimeReached by value
  rte_ring* capture = nullptr;    // rte_mbuf*, see capture.hpp
  rte_ring* trace = nullptr;      // TraceRecord by value, see trace.hpp
  rte_ring* inject = nullptr;     // rte_mbuf* frames from the kernel to worker 0; mbuf->port as above

  // All of them with `entries` each, but for `capture_entries`. The names are the process's: one set at a
  // time. Error: out of memory, and none exists.
  Expected<void> create(unsigned entries, unsigned capture_entries);
  // Frees the packets in them, too. No worker may be running.
  void destroy();

 private:
  std::array<rte_ring**, 8> of_packets() {
    return {&link, &host, &inner, &ike_known, &ike, &refused, &capture, &inject};
  }
  std::array<rte_ring**, 6> of_records() { return {&spi_known, &spi, &neighbour, &peer, &lifetime, &trace}; }
};

struct PuntRates {
  std::uint32_t host_pps = 20'000;  // and as many of the link's own, and as many that came encrypted
  std::uint32_t ike_pps = 10'000;   // and as many to SPIs of ours
  std::uint32_t spi_pps = 10'000;   // and as many of SPIs that are larval here or were retired
  std::uint32_t icmp_error_pps = 1'000;
};

}  // namespace espgate::worker
