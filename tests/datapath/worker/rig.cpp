#include "tests/datapath/worker/rig.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "drivers/crypto/engines.hpp"
#include "drivers/port/eal.hpp"
#include "tests/datapath/worker/must.hpp"

namespace espgate::test {
namespace {

constexpr unsigned buffer_count = 4'095;
rte_mempool* shared_buffers = nullptr;
rte_mempool* large_buffers = nullptr;

net::Address address(const char* text) {
  return *net::parse_address(text);
}

void start_port(std::uint16_t port, std::uint16_t queues) {
  rte_eth_dev_stop(port);
  rte_eth_conf conf{};
  if (rte_eth_dev_configure(port, queues, queues, &conf) != 0) fail("ring port cannot be configured");
  const auto any_node = static_cast<unsigned>(SOCKET_ID_ANY);
  for (std::uint16_t q = 0; q < queues; ++q) {
    rte_eth_rx_queue_setup(port, q, 1024, any_node, nullptr, shared_buffers);
    rte_eth_tx_queue_setup(port, q, 1024, any_node, nullptr);
  }
  if (rte_eth_dev_start(port) != 0) fail("ring port cannot be started");
}

// Pseudo-random but fixed, so that failures repeat.
Bytes key_bytes(std::size_t count, std::uint8_t seed) {
  Bytes key(count);
  for (std::size_t i = 0; i < count; ++i) key[i] = static_cast<std::uint8_t>(seed + 31 * i * i + 7 * i);
  return key;
}

}  // namespace

void start_environment(const std::vector<std::string>& extra_arguments) {
  std::vector<std::string> arguments{
      "test",        "--no-huge",      "-m",          "1024",          "--no-pci",
      "--no-shconf", "--no-telemetry", "--lcores",    "0@0",           "--log-level",
      "lib.*:error", "--log-level",    "pmd.*:error", "--file-prefix", "rig-" + std::to_string(getpid()),
      "--vdev",      "net_ring0",      "--vdev",      "net_ring1"};
  arguments.insert(arguments.end(), extra_arguments.begin(), extra_arguments.end());
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) fail("EAL does not start");
  shared_buffers =
      rte_pktmbuf_pool_create("rig", buffer_count, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  large_buffers = rte_pktmbuf_pool_create("riglarge", Rig::large_buffer_count, 0, 0,
                                          worker::large_buffer_bytes, SOCKET_ID_ANY);
  if (shared_buffers == nullptr || large_buffers == nullptr) fail("no memory for buffers");
  std::atexit([] { rte_eal_cleanup(); });
}

Rig::Rig(const SaOptions& sa_options, unsigned worker_count)
    : options(sa_options), reference_(must(crypto::make_engine("openssl"))) {
  const auto keymat_bytes = crypto::suite(options.suite).keymat_bytes();
  inbound_keymat_ = key_bytes(keymat_bytes, 0x11);
  outbound_keymat_ = key_bytes(keymat_bytes, 0x99);
  shared.worker_count = worker_count;
  shared.tsc_hz = rte_get_tsc_hz();
  shared.buffers = shared_buffers;
  shared.large_buffers = large_buffers;
  shared.reassembly_flows = options.reassembly_flows;
  shared.reassembly_timeout_tsc = shared.tsc_hz;
  capture_buffers_ = rte_pktmbuf_pool_create("rigcap", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  shared.capture_buffers = capture_buffers_;
  must(shared.rings.create(256, 256));
  for (std::uint8_t p = 0; p < 2; ++p) {
    start_port(p, static_cast<std::uint16_t>(worker_count));
    ports_[p] = std::make_unique<port::Port>();
    auto& port = *ports_[p];
    port.name = p == outside ? "outside" : "inside";
    port.ethdev = p;
    port.receive_queues = 1;
    port.transmit_queues = static_cast<std::uint16_t>(worker_count);
    port.mac = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(1 + p)};
    port.ipsec = p == outside;
    shared.ports[p] = &port;
  }
  shared.port_count = 2;
  create_tables(worker_count);
  add_routes();
  add_policies();
  for (unsigned id = 0; id < worker_count; ++id)
    workers.push_back(std::make_unique<worker::Worker>(shared, id, must(engine->make_queue())));
  baseline_ = buffers_in_use();
}

Rig::~Rig() {
  (void)outputs();
  shared.rings.destroy();
  rte_free(readers_memory_);
  rte_mempool_free(capture_buffers_);
}

void Rig::create_tables(unsigned worker_count) {
  engine = must(crypto::make_engine(options.engine));
  sas = must(sa::SaStore::create({64, 64, worker_count, shared.tsc_hz}, *engine, port::dpdk_memory()));
  forwarding = must(forward::Forwarding::create(
      {256, 64}, SOCKET_ID_ANY, [](void*) {}, nullptr));
  policies = must(policy::Classifier::create(256, worker_count, port::dpdk_memory(), {}));
  tunnels = must(tunnel::TunnelTable::create(256, 64, port::dpdk_memory(), {}));
  readers_memory_ = rte_zmalloc(nullptr, rte_rcu_qsbr_get_memsize(worker_count), RTE_CACHE_LINE_SIZE);
  shared.readers = static_cast<rte_rcu_qsbr*>(readers_memory_);
  rte_rcu_qsbr_init(shared.readers, worker_count);
  shared.sas = sas.get();
  shared.forwarding = forwarding.get();
  shared.policies = policies.get();
  shared.tunnels = tunnels.get();
  inbound = must(sas->reserve_inbound(options.inbound_spi));
  must(sas->install_inbound(inbound, parameters(true), options.owner));
  auto sending = parameters(false);
  if (!options.by_route) sending.selectors.clear();
  outbound = must(sas->install_outbound(sending, options.owner));
}

sa::SaParameters Rig::parameters(bool inbound_direction) const {
  const bool v4 = options.outer == net::Family::v4;
  sa::SaParameters result;
  result.spi = inbound_direction ? options.inbound_spi : outbound_spi;
  result.suite = options.suite;
  result.keymat = inbound_direction ? inbound_keymat_ : outbound_keymat_;
  result.local = address(v4 ? "192.0.2.1" : "2001:db8:a::1");
  result.remote = address(v4 ? "192.0.2.2" : "2001:db8:a::2");
  result.mode = options.mode;
  result.outer = options.outer_fields;
  result.track_peer = options.track_peer;
  result.any_encapsulation = options.any_encapsulation;
  result.encapsulation = options.encapsulation;
  result.extended_sequence = options.extended_sequence;
  result.window_packets = options.window_packets;
  result.lifetime = options.lifetime;
  result.tfc_bytes = options.tfc_bytes;
  const auto between = [](const std::string& ours, const std::string& theirs) {
    return net::between(*net::parse_prefix(ours), *net::parse_prefix(theirs));
  };
  result.selectors = options.selectors;
  if (options.mode == sa::Mode::transport && result.selectors.empty())
    result.selectors = {net::between({result.local, static_cast<std::uint8_t>(result.local.bits())},
                                     {result.remote, static_cast<std::uint8_t>(result.remote.bits())})};
  if (result.selectors.empty())
    result.selectors = {between("10.1.0.0/24", options.remote_network4),
                        between("2001:db8:1::/64", options.remote_network6)};
  return result;
}

void Rig::add_routes() {
  const auto hop_to = [&](std::uint8_t port, std::uint8_t station) {
    forward::Hop hop;
    hop.kind = forward::HopKind::resolved;
    hop.port = port;
    hop.frame_bytes = 14;
    hop.mtu = 1500;
    const std::uint8_t destination[6] = {2, 0, 0, 0, port, station};
    std::memcpy(hop.frame, destination, 6);
    std::memcpy(hop.frame + 6, ports_[port]->mac.data(), 6);
    return must(forwarding->add_hop(hop));
  };
  const auto special = [&](forward::HopKind kind, std::uint8_t port) {
    forward::Hop hop;
    hop.kind = kind;
    hop.port = port;
    hop.mtu = 1500;
    return must(forwarding->add_hop(hop));
  };
  const auto route = [&](const char* to, forward::HopIndex hop) {
    must(forwarding->set_route(*net::parse_prefix(to), hop));
  };
  const auto peer = hop_to(outside, 2);
  const auto host = hop_to(inside, 9);
  const auto local_outside = special(forward::HopKind::local, outside);
  const auto local_inside = special(forward::HopKind::local, inside);
  route("192.0.2.2/32", peer);
  route("2001:db8:a::2/128", peer);
  route("10.1.0.9/32", host);
  route("2001:db8:1::9/128", host);
  route("192.0.2.1/32", local_outside);
  route("2001:db8:a::1/128", local_outside);
  route("10.1.0.1/32", local_inside);
  route("2001:db8:1::1/128", local_inside);
  route("10.1.0.0/24", special(forward::HopKind::glean, inside));
  route("203.0.113.0/24", special(forward::HopKind::blackhole, outside));
}

void Rig::add_policies() {
  std::uint64_t order = 1'000;
  for (const auto& selector : parameters(false).selectors)
    add_policy(selector, order++, policy::Decision::protect(outbound));
  const auto to = [&](const char* network, policy::Decision decision) {
    return add_policy(
        {net::AddressRange::everything(net::Family::v4), *net::parse_range(network), {}, {}, {}}, order++,
        decision);
  };
  bypass_to_inside = to("10.1.0.0/24", policy::Decision::bypass());
  to("198.51.100.0/24", policy::Decision::discard());
  to("10.3.0.0/16", policy::Decision::protect_without_sa());
}

std::uint32_t Rig::add_policy(const net::TrafficSelector& selector, std::uint64_t order,
                              policy::Decision decision) {
  return must(policies->add(selector, order, decision));
}

Rig::Output Rig::run(std::uint8_t port, std::span<const Bytes> frames, unsigned worker) {
  std::array<rte_mbuf*, worker::burst_max> mbufs;
  unsigned count = 0;
  for (const auto& frame : frames) {
    auto* mbuf = rte_pktmbuf_alloc(shared_buffers);
    if (mbuf == nullptr) fail("out of buffers");
    auto* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
    if (room == nullptr) fail("frame larger than a buffer");
    if (!frame.empty()) std::memcpy(room, frame.data(), frame.size());
    mbufs[count++] = mbuf;
  }
  workers[worker]->process_frames(mbufs.data(), count, port);
  return outputs();
}

Rig::Output Rig::run_split(std::uint8_t port, const Bytes& frame, std::span<const std::size_t> ends) {
  rte_mbuf* head = nullptr;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= ends.size(); ++i) {
    const std::size_t to = i < ends.size() ? ends[i] : frame.size();
    auto* segment = rte_pktmbuf_alloc(shared_buffers);
    std::memcpy(rte_pktmbuf_append(segment, static_cast<std::uint16_t>(to - from)), frame.data() + from,
                to - from);
    if (head == nullptr)
      head = segment;
    else if (rte_pktmbuf_chain(head, segment) != 0)
      fail("too many segments");
    from = to;
  }
  workers[0]->process_frames(&head, 1, port);
  return outputs();
}

Rig::Output Rig::run_from_host(std::uint16_t port, const Bytes& frame) {
  return inject(port, frame);
}

Rig::Output Rig::run_from_control(const Bytes& packet, bool clear) {
  return inject(clear ? worker::clear_from_control : worker::from_control, packet);
}

Rig::Output Rig::run_dummy(const Bytes& packet, tunnel::Index tunnel) {
  return inject(worker::dummy_from_control, packet, tunnel);
}

Rig::Output Rig::inject(std::uint16_t mark, const Bytes& bytes, tunnel::Index tunnel) {
  auto* mbuf = rte_pktmbuf_alloc(shared_buffers);
  std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size())), bytes.data(), bytes.size());
  mbuf->port = mark;
  mbuf->hash.usr = tunnel;
  rte_ring_enqueue(shared.rings.inject, mbuf);
  for (auto& p : ports_) p->receive_queues = 0;  // a ring port would give back what was sent
  workers[0]->poll();
  for (auto& p : ports_) p->receive_queues = 1;
  return outputs();
}

void Rig::collect(rte_ring* ring, std::vector<Bytes>& to, std::vector<std::uint16_t>* ports) {
  void* packet = nullptr;
  while (rte_ring_dequeue(ring, &packet) == 0) {
    auto* mbuf = static_cast<rte_mbuf*>(packet);
    Bytes bytes(mbuf->pkt_len);
    const auto* data = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes.data());
    if (!bytes.empty() && data != bytes.data()) std::memcpy(bytes.data(), data, bytes.size());
    to.push_back(std::move(bytes));
    if (ports != nullptr) ports->push_back(mbuf->port);
    rte_pktmbuf_free(mbuf);
  }
}

// A ring port gives back what was sent on it, queue by queue.
void Rig::collect_port(std::uint8_t port, std::vector<Bytes>& to) {
  std::array<rte_mbuf*, 64> mbufs;
  for (std::uint16_t queue = 0; queue < shared.worker_count; ++queue) {
    while (const auto count = rte_eth_rx_burst(port, queue, mbufs.data(), 64)) {
      for (unsigned i = 0; i < count; ++i) {
        const auto* data = rte_pktmbuf_mtod(mbufs[i], const std::uint8_t*);
        to.emplace_back(data, data + mbufs[i]->data_len);
        rte_pktmbuf_free(mbufs[i]);
      }
    }
  }
}

Rig::Output Rig::outputs() {
  Output output;
  collect_port(outside, output.outside);
  collect_port(inside, output.inside);
  collect(shared.rings.link, output.link);
  for (auto* ring : {shared.rings.host, shared.rings.inner}) collect(ring, output.host, &host_ports);
  for (auto* ring : {shared.rings.ike_known, shared.rings.ike}) collect(ring, output.control);
  return output;
}

std::uint64_t Rig::taken(Verdict verdict) {
  std::uint64_t total = 0;
  for (const auto& worker : workers) total += worker->counters().verdicts[index_of(verdict)].value();
  return total - std::exchange(seen_[index_of(verdict)], total);
}

std::string Rig::verdicts() {
  std::string text;
  for (const auto& entry : verdict_rows())
    if (const auto count = taken(entry.verdict); count != 0)
      fmt::format_to(std::back_inserter(text), "{}{}={}", text.empty() ? "" : " ", entry.name, count);
  return text;
}

bool Rig::conserved() {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (const auto& worker : workers) {
    in += worker->counters().received.value() + worker->counters().from_host.value() +
          worker->counters().made.value();
    for (const auto& counter : worker->counters().verdicts) out += counter.value();
  }
  return in == out && buffers_in_use() == baseline_ && large_buffers_in_use() == 0;
}

unsigned Rig::buffers_in_use() const {
  return rte_mempool_in_use_count(shared_buffers);
}

unsigned Rig::large_buffers_in_use() const {
  return rte_mempool_in_use_count(large_buffers);
}

std::vector<Rig::Refused> Rig::refused() {
  std::vector<Refused> result;
  void* packet = nullptr;
  while (rte_ring_dequeue(shared.rings.refused, &packet) == 0) {
    auto* mbuf = static_cast<rte_mbuf*>(packet);
    const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
    result.push_back({Bytes(data, data + mbuf->data_len), worker::refusal_of(*mbuf), mbuf->port});
    rte_pktmbuf_free(mbuf);
  }
  return result;
}

std::vector<worker::PeerMoved> Rig::peers_moved() {
  std::vector<worker::PeerMoved> moves;
  worker::PeerMoved moved;
  while (rte_ring_dequeue_elem(shared.rings.peer, &moved, sizeof moved) == 0) moves.push_back(moved);
  return moves;
}

std::vector<Bytes> Rig::captured() {
  std::vector<Bytes> frames;
  collect(shared.rings.capture, frames);
  return frames;
}

std::vector<std::string> Rig::traced() {
  std::vector<std::string> stages;
  worker::TraceRecord record;
  while (rte_ring_dequeue_elem(shared.rings.trace, &record, sizeof record) == 0) {
    const auto verdict = static_cast<Verdict>(record.verdict);
    stages.push_back(
        fmt::format("{} {}", record.packet,
                    verdict == Verdict::undecided ? worker::stage_names[record.stage] : row(verdict).name));
  }
  return stages;
}

std::vector<sa::SpiMiss> Rig::spi_misses() {
  std::vector<sa::SpiMiss> misses;
  sa::SpiMiss miss;
  for (auto* ring : {shared.rings.spi_known, shared.rings.spi})
    while (rte_ring_dequeue_elem(ring, &miss, sizeof miss) == 0) misses.push_back(miss);
  return misses;
}

}  // namespace espgate::test
