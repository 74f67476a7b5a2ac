#include "datapath/worker/worker.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

#include <bit>
#include <cstring>

#include "datapath/worker/packet.hpp"

namespace espgate::worker {
namespace {

// What goes to one SPI of ours, of an IKE SA or of an SA that is gone, and to others of the same hash, is at
// most a sixteenth of all that does: far more than an IKE SA needs, and too little to keep others out.
constexpr std::size_t shares = 256;
constexpr std::uint32_t share = 16;

// Rounds without a packet before the idle policy lets a worker sleep: long enough that a busy worker
// between two bursts never does.
constexpr unsigned idle_rounds_before_sleep = 256;

void sleep_us(std::uint32_t microseconds) {
  timespec duration{0, static_cast<long>(microseconds) * 1000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
}

}  // namespace

Worker::Worker(Shared& shared, unsigned id, std::unique_ptr<crypto::Queue> queue)
    : shared_(shared),
      id_(id),
      exclusive_(shared.worker_count == 1),
      crypto_(std::move(queue)),
      reassembly_(shared.reassembly_flows, shared.reassembly_timeout_tsc, shared.large_buffers),
      decrypted_reassembly_(shared.reassembly_flows, shared.reassembly_timeout_tsc, shared.large_buffers),
      identifications_(id, shared.worker_count, rte_rand()),
      link_limit_(shared.rates.host_pps, shared.tsc_hz),
      host_limit_(shared.rates.host_pps, shared.tsc_hz),
      inner_limit_(shared.rates.host_pps, shared.tsc_hz),
      ike_limit_(shared.rates.ike_pps, shared.tsc_hz),
      ike_known_limit_(shared.rates.ike_pps, shared.tsc_hz),
      spi_known_limit_(shared.rates.spi_pps, shared.tsc_hz),
      spi_limit_(shared.rates.spi_pps, shared.tsc_hz),
      neighbour_limit_(1'000, shared.tsc_hz),
      peer_limit_(1'000, shared.tsc_hz),
      icmp_error_limit_(shared.rates.icmp_error_pps, shared.tsc_hz),
      ike_shares_(shares, RateLimit(shared.rates.ike_pps / share, shared.tsc_hz)),
      spi_shares_(shares, RateLimit(shared.rates.spi_pps / share, shared.tsc_hz)),
      tracer_(shared.trace, shared.rings.trace, static_cast<std::uint8_t>(id)),
      capture_(shared.capture, shared.rings.capture, shared.capture_buffers) {
  for (const auto& suite : crypto::suites())
    hot_key_lines_[static_cast<std::size_t>(suite.id)] = shared.sas->engine().hot_key_lines(suite.id);
}

void Worker::run() {
  rte_rcu_qsbr_thread_register(shared_.readers, id_);
  rte_rcu_qsbr_thread_online(shared_.readers, id_);
  std::uint64_t last = rte_rdtsc();
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    const unsigned packets = poll();
    rte_rcu_qsbr_quiescent(shared_.readers, id_);
    if (packets == 0 && ++idle_rounds_ > idle_rounds_before_sleep && shared_.idle_sleep_us != 0)
      sleep_us(shared_.idle_sleep_us);
    const std::uint64_t now = rte_rdtsc();
    (packets != 0 ? load_.busy_cycles : load_.idle_cycles).add(now - last);
    last = now;
    if (packets != 0) idle_rounds_ = 0;
  }
  rte_rcu_qsbr_thread_offline(shared_.readers, id_);
  rte_rcu_qsbr_thread_unregister(shared_.readers, id_);
}

unsigned Worker::poll() {
  unsigned packets = 0;
  for (auto* reassembly : {&reassembly_, &decrypted_reassembly_}) {
    reassembly->expire(rte_rdtsc());
    count_given_up(*reassembly);
  }
  for (unsigned p = 0; p < shared_.port_count; ++p) {
    auto& port = *shared_.ports[p];
    if (id_ >= port.receive_queues || !port.present.load(std::memory_order_relaxed)) continue;
    clock_.begin_burst();
    burst_.count =
        rte_eth_rx_burst(port.ethdev, static_cast<std::uint16_t>(id_), burst_.mbuf.data(), burst_max);
    if (burst_.count == 0) continue;
    burst_.port = static_cast<std::uint8_t>(p);
    counters_.received.add(burst_.count);
    packets += burst_.count;
    process();
  }
  if (id_ == 0 && shared_.rings.inject != nullptr) {
    clock_.begin_burst();
    burst_.count = rte_ring_sc_dequeue_burst(
        shared_.rings.inject, reinterpret_cast<void**>(burst_.mbuf.data()), burst_max, nullptr);
    if (burst_.count != 0) {
      counters_.from_host.add(burst_.count);
      packets += burst_.count;
      process_from_host();
    }
  }
  return packets;
}

void Worker::process_frames(rte_mbuf* const* frames, unsigned count, std::uint8_t port) {
  clock_.begin_burst();
  std::memcpy(burst_.mbuf.data(), frames, count * sizeof *frames);
  burst_.count = count;
  burst_.port = port;
  counters_.received.add(count);
  process();
}

void Worker::process() {
  load_.bursts.add(1);
  load_.burst_sizes[static_cast<std::size_t>(std::bit_width(burst_.count) - 1)].add(1);
  burst_.from_host = false;
  burst_.tsc = rte_rdtsc();
  if (capture_.wants_port(burst_.port))
    capture_.copy(burst_.mbuf.data(), burst_.count, burst_.port, Direction::in);
  if (capture_.wants_drops()) capture_.keep(burst_.mbuf.data(), burst_.count, Capture::As::frame);
  clock_.end_stage(Stage::receive, burst_.count);

  run_stages();
  process_later();
}

// Each in bursts of its own, of as many as came of one: pieces at once, then what is whole.
void Worker::process_later() {
  for (;;) {
    if (aside_count_ != 0)
      process_pieces();
    else if (rejoined_count_ != 0)
      process_rejoined();
    else if (whole_count_ != 0)
      process_whole();
    else
      return;
  }
}

void Worker::run_stages() {
  parse();
  tracer_.begin(burst_);
  sort_by_kind();
  clock_.end_stage(Stage::parse, burst_.count);
  if (parts_.count != 0) reassemble();
  if (esp_.count != 0) {
    look_up();
    prepare_inbound();
    decrypt();
    accept();
  }
  if (missed_.count != 0) resolve_missed();
  if (clear_.count != 0) admit_cleartext();
  if (transit_.count != 0) decide_transit();
  if (decrypted_.count != 0) decide_decrypted();
  if (has_tunnels()) enter_tunnels();
  send();
}

// What all packets on their way out have in common, wherever they came from.
void Worker::send() {
  if (protect_.count != 0) {
    encapsulate();
    encrypt();
  }
  if (unrouted_.count != 0) route();
  if (routed_.count != 0) forward();
  for (const auto row : raw_) send_raw(row);
  transmit();
}

// Packets of the kernel's own: those that policy protects are encrypted and routed anew, all others leave
// by the port whose twin the kernel chose, with the Ethernet header it made.
void Worker::process_from_host() {
  burst_.from_host = true;
  burst_.tsc = rte_rdtsc();
  const unsigned total = burst_.count;
  // The ring mixes frames of all twins, while a burst belongs to one port: take runs of one port.
  std::array<rte_mbuf*, burst_max> all;
  std::memcpy(all.data(), burst_.mbuf.data(), total * sizeof all[0]);
  for (unsigned first = 0; first < total;) {
    unsigned next = first + 1;
    while (next < total && all[next]->port == all[first]->port) ++next;
    burst_.count = next - first;
    const auto source = all[first]->port;
    const bool control = source >= dummy_from_control;
    const bool tunnel = !control && source >= first_tunnel_link;
    const auto link = static_cast<tunnel::Index>(source - first_tunnel_link);
    burst_.port = control || tunnel ? std::uint8_t{0} : static_cast<std::uint8_t>(source);
    std::memcpy(burst_.mbuf.data(), &all[first], burst_.count * sizeof all[0]);
    first = next;
    clock_.end_stage(Stage::receive, burst_.count);
    if (control) {
      process_from_control(source);
      process_later();
      continue;
    }
    if (capture_.wants_drops())
      capture_.keep(burst_.mbuf.data(), burst_.count, tunnel ? Capture::As::packet : Capture::As::frame);
    if (tunnel) {
      decide_from_tunnel(link);
      send();
    } else {
      run_host_stages();
    }
    process_later();
  }
}

void Worker::run_host_stages() {
  parse();
  tracer_.begin(burst_);
  clock_.end_stage(Stage::parse, burst_.count);
  decide_from_host();
  send();
}

void Worker::process_from_control(std::uint16_t mark) {
  clear_lanes();
  for (unsigned row = 0; row < burst_.count; ++row) {
    auto* ip = rte_pktmbuf_mtod(burst_.mbuf[row], std::uint8_t*);
    begin_row(row, ip, ip[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6);
    burst_.info[row] = {};
    burst_.info[row].kind = parse::FrameKind::ip;
    burst_.origin[row] = Origin::control;
    (mark == from_control ? unrouted_ : decrypted_).add(row);
  }
  tracer_.begin(burst_);
  if (mark == dummy_from_control) {
    decide_dummies();
  } else if (mark == clear_from_control) {
    decide_from_control();
    if (has_tunnels()) enter_tunnels();
  }
  send();
}

void Worker::clear_lanes() {
  for (Lanes* lanes : {&esp_, &missed_, &clear_, &transit_, &decrypted_, &protect_, &unrouted_, &routed_,
                       &raw_, &done_, &parts_})
    lanes->clear();
}

void Worker::begin_row(unsigned row, std::uint8_t* l3, net::Family family) {
  burst_.l3[row] = l3;
  burst_.family[row] = family;
  burst_.verdict[row] = Verdict::undecided;
  burst_.sa[row] = sa::no_sa;
  burst_.tunnel[row] = tunnel::no_tunnel;
  burst_.protect[row] = false;
  burst_.sequence[row] = 0;
  burst_.dont_fragment[row] = false;
  burst_.fragment_outer[row] = false;
  burst_.largest_part[row] = 0;
}

void Worker::parse() {
  clear_lanes();
  const unsigned count = burst_.count;
  for (unsigned row = 0; row < std::min(count, 8u); ++row)
    rte_prefetch0(rte_pktmbuf_mtod(burst_.mbuf[row], const void*));
  const auto& port = in_port();
  for (unsigned row = 0; row < count; ++row) {
    if (row + 8 < count) rte_prefetch0(rte_pktmbuf_mtod(burst_.mbuf[row + 8], const void*));
    const rte_mbuf* mbuf = burst_.mbuf[row];
    auto* frame = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    const bool stripped = (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
    const bool checksum_good =
        burst_.from_host || (mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    auto& info = burst_.info[row];
    if (stripped && (mbuf->vlan_tci & 0xfff) != net::front_of(port.vlans)) {
      info = {};
      info.kind = parse::FrameKind::invalid;
      info.reason = Verdict::ETH_VLAN_UNKNOWN;
    } else {
      const net::Vlans left = burst_.from_host ? 0 : stripped ? net::behind_front_of(port.vlans) : port.vlans;
      parse::parse_frame({frame, mbuf->data_len}, mbuf->pkt_len, checksum_good, left, info);
    }
    begin_row(row, frame + info.l3_offset, info.family);
  }
}

void Worker::sort_by_kind() {
  const auto& mac = in_port().mac;
  for (unsigned row = 0; row < burst_.count; ++row) {
    const auto& info = burst_.info[row];
    const auto* frame = rte_pktmbuf_mtod(burst_.mbuf[row], const std::uint8_t*);
    burst_.origin[row] = Origin::transit;
    if (info.kind == parse::FrameKind::invalid) {
      finish(row, info.reason);
    } else if (info.link_group) {
      sort_link_group(row);
    } else if (std::memcmp(frame, mac.data(), mac.size()) != 0) {
      finish(row, Verdict::ETH_NOT_FOR_US);
    } else {
      if (info.fragment && is_part(row)) {
        parts_.add(row);
        continue;
      }
      switch (info.kind) {
        case parse::FrameKind::esp:
        case parse::FrameKind::esp_in_udp:
          esp_.add(row);
          break;
        case parse::FrameKind::not_ip:
          punt_link(row);
          break;
        default:
          clear_.add(row);
      }
    }
  }
}

// Sent to a group of stations: for the kernel as far as it is not IP, or a group's at IP too. A unicast IP
// packet in such a frame must not be forwarded (RFC 1122 3.3.6), and meets policy like any other if it is
// for us; nobody sends ESP that way.
void Worker::sort_link_group(unsigned row) {
  const auto& info = burst_.info[row];
  if (info.kind == parse::FrameKind::not_ip) {
    punt_link(row);
    return;
  }
  const auto* destination = destination_of(burst_.l3[row], info.family);
  if (is_routable_multicast(destination, info.family))
    finish(row, Verdict::MULTICAST_NOT_FORWARDED);
  else if (is_multicast(destination, info.family))
    punt_link(row);
  else if (info.kind == parse::FrameKind::esp || info.kind == parse::FrameKind::esp_in_udp)
    finish(row, Verdict::ETH_NOT_FOR_US);
  else
    clear_.add(row);
}

void Worker::settle(unsigned row, Verdict verdict) {
  if (burst_.sa[row] != sa::no_sa) pin(row, verdict);
  burst_.verdict[row] = verdict;
  counters_.count(verdict);
  const auto traced = static_cast<std::uint8_t>(row);
  tracer_.verdicts(burst_, &traced, &traced + 1);
}

void Worker::finish(unsigned row, Verdict verdict) {
  settle(row, verdict);
  done_.add(row);
}

bool Worker::copy_packet(unsigned row) {
  if (!fits_one_buffer(row)) return false;
  return copy_to(row,
                 fits(burst_.mbuf[row]->pkt_len, shared_.buffers) ? shared_.buffers : shared_.large_buffers);
}

bool Worker::copy_to(unsigned row, rte_mempool* pool) {
  rte_mbuf* mbuf = burst_.mbuf[row];
  const auto offset = burst_.l3[row] - rte_pktmbuf_mtod(mbuf, std::uint8_t*);
  rte_mbuf* copy = rte_pktmbuf_copy(mbuf, pool, 0, mbuf->pkt_len);
  if (copy == nullptr) return false;
  rte_pktmbuf_free(mbuf);
  burst_.mbuf[row] = copy;
  burst_.l3[row] = rte_pktmbuf_mtod(copy, std::uint8_t*) + offset;
  return true;
}

Verdict Worker::copy_fault(unsigned row) const {
  return fits_one_buffer(row) ? Verdict::PKT_BUFFER_UNAVAILABLE
                              : by_family(burst_.family[row], Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG,
                                          Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG);
}

bool Worker::fits_one_buffer(unsigned row) const {
  const auto bytes = burst_.mbuf[row]->pkt_len;
  return fits(bytes, shared_.buffers) || fits(bytes, shared_.large_buffers);
}

// With room for what ESP puts behind it.
bool Worker::fits(unsigned bytes, rte_mempool* pool) {
  return pool != nullptr &&
         RTE_PKTMBUF_HEADROOM + bytes + sa::EspSizes::most_behind <= rte_pktmbuf_data_room_size(pool);
}

}  // namespace espgate::worker
