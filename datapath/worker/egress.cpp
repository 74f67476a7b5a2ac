// Forwarding: route, hop, Ethernet header, and out of the port. Here each packet that is still on its way
// gets its verdict.
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>

#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

bool leads_out(const port::Port& port) {
  return port.up.load(std::memory_order_relaxed) && port.present.load(std::memory_order_relaxed);
}

}  // namespace

void Worker::route() {
  const auto& tables = *shared_.forwarding;
  const Destinations destinations(burst_, unrouted_);
  look_up_routes(tables, destinations, [&](unsigned row, forward::HopIndex hop) {
    hop_[row] = hop;
    rte_prefetch0(&tables.hop(hop));
    routed_.add(row);
  });
  unrouted_.clear();
}

void Worker::forward() {
  for (const auto row : routed_) {
    const auto& hop = shared_.forwarding->hop(hop_[row]);
    const auto family = burst_.family[row];
    const bool outer = burst_.origin[row] == Origin::encrypted || burst_.origin[row] == Origin::control;
    const Verdict no_adjacency =
        by_family(family, Verdict::OUT_V4_TX_PKT_ADJ_FAIL, Verdict::OUT_V6_TX_PKT_ADJ_FAIL);
    switch (hop.kind) {
      case forward::HopKind::resolved:
        send_to_hop(row, hop);
        break;
      case forward::HopKind::local:
        !outer&& burst_.tunnel[row] != tunnel::no_tunnel ? deliver_from_tunnel(row)
                                                         : deliver_locally(row, hop.port);
        break;
      case forward::HopKind::tunnel:  // of what we made ourselves: a tunnel does not go through another
        finish(row, no_adjacency);
        break;
      case forward::HopKind::no_route:
        refuse_to_route(row,
                        outer ? no_adjacency : by_family(family, Verdict::NO_ROUTE_V4, Verdict::NO_ROUTE_V6),
                        net::Refusal::Why::no_route);
        break;
      case forward::HopKind::unresolved:
      case forward::HopKind::glean:
        if (!leads_out(*shared_.ports[hop.port])) {
          finish(row, Verdict::PORT_DOWN);
          break;
        }
        ask_for_neighbour(row);
        finish(row, outer ? no_adjacency : Verdict::NEIGHBOUR_UNRESOLVED);
        break;
      case forward::HopKind::blackhole:
        finish(row, Verdict::ROUTE_BLACKHOLE);
        break;
    }
  }
  clock_.end_stage(Stage::forward, routed_.count);
  tracer_.stage(burst_, Stage::forward, routed_);
}

void Worker::send_to_hop(unsigned row, const forward::Hop& hop) {
  const auto family = burst_.family[row];
  const auto origin = burst_.origin[row];
  const auto& port = *shared_.ports[hop.port];
  auto* mbuf = burst_.mbuf[row];
  if (!leads_out(port)) {
    finish(row, Verdict::PORT_DOWN);
    return;
  }
  // What was let in may go on to the inside; to leave by a port where traffic needs a policy it needs one
  // like any other.
  if (origin == Origin::admitted && port.ipsec) {
    finish(row, by_family(family, Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
                          Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL));
    return;
  }
  if (mbuf->pkt_len > hop.mtu || (burst_.fragment_outer[row] && mbuf->pkt_len > way_out(row, hop)))
      [[unlikely]] {
    exceed_hop(row, hop);
    return;
  }
  if (origin == Origin::transit || origin == Origin::admitted) {
    if (!make_exclusive(row)) {
      finish(row, copy_fault(row));
      return;
    }
    mbuf = burst_.mbuf[row];
    if (!decrement_ttl(burst_.l3[row], family)) {
      refuse_to_route(row, Verdict::TTL_EXPIRED, net::Refusal::Why::hop_limit);
      return;
    }
  }
  if (!leave_large_buffer(row)) [[unlikely]] {  // what fits a port fits one of the others
    finish(row, Verdict::PKT_BUFFER_UNAVAILABLE);
    return;
  }
  mbuf = burst_.mbuf[row];
  auto* frame = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(mbuf, hop.frame_bytes));
  if (frame == nullptr) {
    finish(row, Verdict::PKT_BUFFER_UNAVAILABLE);
    return;
  }
  copy_headers<net::ethernet_bytes>(frame, hop.frame, hop.frame_bytes);
  net::store_be16({frame, hop.frame_bytes}, hop.frame_bytes - 2u,
                  family == net::Family::v4 ? net::ethertype_ipv4 : net::ethertype_ipv6);
  queue_frame(row, hop.port);
}

// A frame as the kernel made it, to the port whose twin it came from.
void Worker::send_raw(unsigned row) {
  const auto& port = in_port();
  auto* mbuf = burst_.mbuf[row];
  if (!leads_out(port)) {
    finish(row, Verdict::PORT_DOWN);
    return;
  }
  if (port.vlans != 0) {
    const auto tags = net::tag_bytes(port.vlans);
    auto* frame = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(mbuf, tags));
    if (frame == nullptr) {
      finish(row, Verdict::PKT_BUFFER_UNAVAILABLE);
      return;
    }
    std::memmove(frame, frame + tags, 12);
    net::write_tags(frame + 12, port.vlans);
  }
  queue_frame(row, burst_.port);
}

void Worker::queue_frame(unsigned row, std::uint8_t port) {
  auto& buffer = tx_[port];
  buffer.row[buffer.count] = static_cast<std::uint8_t>(row);
  buffer.mbuf[buffer.count++] = burst_.mbuf[row];
}

void Worker::transmit() {
  for (unsigned p = 0; p < shared_.port_count; ++p) {
    auto& buffer = tx_[p];
    if (buffer.count == 0) continue;
    if (capture_.wants_port(static_cast<std::uint8_t>(p)))
      capture_.copy(buffer.mbuf.data(), buffer.count, static_cast<std::uint8_t>(p), Direction::out);
    const unsigned sent = rte_eth_tx_burst(shared_.ports[p]->ethdev, static_cast<std::uint16_t>(id_),
                                           buffer.mbuf.data(), static_cast<std::uint16_t>(buffer.count));
    for (unsigned i = 0; i < sent; ++i) burst_.verdict[buffer.row[i]] = Verdict::FORWARDED;
    counters_.count(Verdict::FORWARDED, sent);
    tracer_.verdicts(burst_, buffer.row.data(), buffer.row.data() + sent);
    for (unsigned i = sent; i < buffer.count; ++i) finish(buffer.row[i], Verdict::PORT_TX_FULL);
    buffer.count = 0;
  }
  free_finished();
  clock_.end_stage(Stage::transmit, burst_.count);
}

void Worker::free_finished() {
  unsigned count = 0;
  std::array<rte_mbuf*, burst_max> mbufs;
  for (const auto row : done_) mbufs[count++] = burst_.mbuf[row];
  rte_pktmbuf_free_bulk(mbufs.data(), count);
  capture_.finish_burst(burst_.verdict.data(), burst_.port);
  done_.clear();
}

}  // namespace espgate::worker
