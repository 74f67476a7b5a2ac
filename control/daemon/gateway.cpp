#include "control/daemon/gateway.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <new>

#include "control/sa/sa_manager.hpp"
#include "drivers/crypto/engines.hpp"
#include "drivers/port/eal.hpp"

namespace espgate::daemon {
namespace {

// Room in a buffer beside the IP packet: Ethernet with two tags before it, ESP trailer and ICV behind.
constexpr unsigned frame_overhead_bytes = 22 + 2 + 255 + 32;
constexpr unsigned mbuf_overhead_bytes = sizeof(rte_mbuf) + 64;
constexpr unsigned capture_buffer_count = 2'047;
// What a card's queues hold for each worker: sent frames until the driver looks for them, and received ones,
// for which some cards (vmxnet3) have two rings.
constexpr unsigned card_buffer_count = 3 * port::queue_entries;

Error out_of_memory(const char* what) {
  return {fmt::format("not enough memory for {}", what),
          "raise memory-mb and the number of huge pages, or lower the limits"};
}

std::uint16_t largest_mtu(const config::Configuration& configuration) {
  std::uint16_t mtu = 1500;
  for (const auto& port : configuration.ports) mtu = std::max(mtu, port.mtu);
  return mtu;
}

std::uint16_t buffer_bytes(const config::Configuration& configuration) {
  const unsigned bytes = RTE_PKTMBUF_HEADROOM + largest_mtu(configuration) + frame_overhead_bytes;
  return static_cast<std::uint16_t>(std::max<unsigned>((bytes + 63) & ~63u, RTE_MBUF_DEFAULT_BUF_SIZE));
}

// A pool puts none of its buffers across the end of a page, if they fit into one.
std::uint64_t pool_bytes(std::uint64_t count, std::uint64_t bytes, std::uint64_t page) {
  bytes += mbuf_overhead_bytes;
  const auto pages = bytes <= page ? count / (page / bytes) + 1 : count * (bytes / page + 1);
  return pages * page;
}

// Packets on their way get what the limit says. Were the queues to take it from them, reception would stop
// for good.
std::uint32_t buffer_count(const config::Configuration& configuration) {
  const auto cards = std::ranges::count_if(
      configuration.ports, [](const auto& port) { return port::is_pci_address(port.device); });
  const auto queues =
      static_cast<std::uint32_t>(cards) * static_cast<std::uint32_t>(configuration.worker_cpus.size());
  return configuration.limits.buffers + queues * card_buffer_count;
}

// One for each packet that is being made whole, of fragments in clear or of decrypted ones, and for a burst
// of those that are.
std::uint32_t large_buffer_count(const config::Configuration& configuration) {
  const auto workers = static_cast<std::uint32_t>(configuration.worker_cpus.size());
  return workers * (2 * configuration.limits.reassembly_flows + worker::burst_max);
}

}  // namespace

std::uint32_t memory_needed_mb(const config::Configuration& configuration) {
  if (configuration.memory_mb != 0) return configuration.memory_mb;
  constexpr std::uint64_t megabyte = 1 << 20;
  constexpr std::uint64_t base = 64 * megabyte;  // EAL's own, rings, drivers' queues
  const auto& limits = configuration.limits;
  const auto workers = static_cast<unsigned>(configuration.worker_cpus.size());
  const std::uint64_t page = configuration.hugepages ? 2 * megabyte : 4'096;
  const std::uint64_t buffers =
      pool_bytes(buffer_count(configuration), buffer_bytes(configuration), page) +
      pool_bytes(capture_buffer_count, buffer_bytes(configuration), page) +
      pool_bytes(large_buffer_count(configuration), worker::large_buffer_bytes, page);
  const std::uint64_t sas = sa::SaStore::memory_bytes(sa::store_limits(limits, workers));
  const std::uint64_t tables =
      forward::Forwarding::memory_bytes({limits.routes, limits.neighbours}) +
      policy::Classifier::memory_bytes(limits.policies, workers) +
      tunnel::TunnelTable::memory_bytes(limits.tunnels, sa::store_limits(limits, workers).inbound);
  // An eighth more: the heap's own headers and what alignment loses.
  return static_cast<std::uint32_t>((base + buffers + sas + tables) / megabyte * 9 / 8);
}

Expected<std::unique_ptr<Gateway>> Gateway::create(const config::Configuration& configuration) {
  std::unique_ptr<Gateway> gateway(new Gateway);
  auto& shared = gateway->shared_;
  shared.worker_count = static_cast<unsigned>(configuration.worker_cpus.size());
  shared.tsc_hz = rte_get_tsc_hz();
  shared.idle_sleep_us = configuration.idle == config::Idle::sleep ? configuration.idle_sleep_us : 0;
  const auto& limits = configuration.limits;
  shared.rates = {limits.punt_host_pps, limits.punt_ike_pps, limits.punt_spi_pps, limits.icmp_error_pps};
  shared.reassembly_flows = limits.reassembly_flows;
  shared.reassembly_timeout_tsc = shared.tsc_hz / 1'000 * limits.reassembly_ms;
  net::SipKey spi_key;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(spi_key.data()), sizeof spi_key) != 1)
    return Error{"no random numbers", "restart espgated; see that the kernel has getrandom"};
  shared.ike_spis = net::IkeSpis(spi_key);
  if (auto done = gateway->create_buffers(configuration); !done) return done.error();
  if (auto done = gateway->shared_.rings.create(limits.punt_ring, capture_buffer_count); !done)
    return done.error();
  if (auto done = gateway->open_ports(configuration); !done) return done.error();
  gateway->silence_interfaces(configuration);
  if (auto done = gateway->create_tables(configuration); !done) return done.error();
  if (auto done = gateway->create_workers(); !done) return done.error();
  return gateway;
}

Expected<void> Gateway::create_buffers(const config::Configuration& configuration) {
  const auto bytes = buffer_bytes(configuration);
  buffers_ = rte_pktmbuf_pool_create("buffers", buffer_count(configuration), 256, 0, bytes, SOCKET_ID_ANY);
  capture_buffers_ = rte_pktmbuf_pool_create("capture", capture_buffer_count, 0, 0, bytes, SOCKET_ID_ANY);
  large_buffers_ = rte_pktmbuf_pool_create("large", large_buffer_count(configuration), 0, 0,
                                           worker::large_buffer_bytes, SOCKET_ID_ANY);
  if (large_buffers_ == nullptr) return out_of_memory("large packet buffers");
  if (buffers_ == nullptr || capture_buffers_ == nullptr) return out_of_memory("packet buffers");
  shared_.buffers = buffers_;
  shared_.large_buffers = large_buffers_;
  shared_.capture_buffers = capture_buffers_;
  return {};
}

Expected<void> Gateway::open_ports(const config::Configuration& configuration) {
  for (const auto& port : configuration.ports) {
    auto opened = port::OpenPort::open(
        {port.name, port.device, port.ipsec, port.mtu, port.vlans, shared_.worker_count}, buffers_);
    if (!opened) {
      auto& error = opened.error();
      error.what = fmt::format("{}:{}: ports[{}].device \"{}\": {}", configuration.files[port.file],
                               port.line, shared_.port_count, port.device, error.what);
      return error;
    }
    shared_.ports[shared_.port_count++] = &(*opened)->port();
    ports_.push_back(std::move(*opened));
  }
  return {};
}

// The gateway works without, and the kernel beside it: that is worth a warning.
void Gateway::silence_interfaces(const config::Configuration& configuration) {
  std::vector<std::string> shared;
  for (const auto& port : configuration.ports)
    if (auto interface = port::shared_interface_of(port.device); !interface.empty())
      shared.push_back(std::move(interface));
  if (shared.empty()) return;
  if (auto silence = host::Silence::over(shared))
    silence_.emplace(std::move(*silence));
  else
    spdlog::warn("{}", silence.error().text());
}

Expected<void> Gateway::create_tables(const config::Configuration& configuration) {
  auto engine = crypto::make_engine(configuration.crypto_engine);
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  readers_ = std::make_unique<Readers>(shared_.worker_count);
  shared_.readers = readers_->rcu();
  auto sas = sa::SaStore::create(sa::store_limits(configuration.limits, shared_.worker_count, shared_.tsc_hz),
                                 *engine_, port::dpdk_memory());
  if (!sas) return sas.error();
  sas_ = std::move(*sas);
  shared_.sas = sas_.get();
  const auto wait = [](void* readers) { static_cast<Readers*>(readers)->wait(); };
  auto forwarding = forward::Forwarding::create(
      {configuration.limits.routes, configuration.limits.neighbours}, SOCKET_ID_ANY, wait, readers_.get());
  if (!forwarding) return forwarding.error();
  forwarding_ = std::move(*forwarding);
  shared_.forwarding = forwarding_.get();
  auto policies = policy::Classifier::create(configuration.limits.policies, shared_.worker_count,
                                             port::dpdk_memory(), {wait, readers_.get()});
  if (!policies) return policies.error();
  policies_ = std::move(*policies);
  shared_.policies = policies_.get();
  auto tunnels = tunnel::TunnelTable::create(configuration.limits.tunnels, sas_->limits().inbound,
                                             port::dpdk_memory(), {wait, readers_.get()});
  if (!tunnels) return tunnels.error();
  tunnels_ = std::move(*tunnels);
  shared_.tunnels = tunnels_.get();
  return {};
}

Expected<void> Gateway::create_workers() {
  for (unsigned id = 0; id < shared_.worker_count; ++id) {
    auto queue = engine_->make_queue();
    if (!queue) return queue.error();
    workers_.push_back(std::make_unique<worker::Worker>(shared_, id, std::move(*queue)));
  }
  return {};
}

Expected<void> Gateway::start_workers() {
  running_ = true;
  for (auto& worker : workers_) {
    const auto run = [](void* self) {
      static_cast<worker::Worker*>(self)->run();
      return 0;
    };
    if (const int code = rte_eal_remote_launch(run, worker.get(), worker->id() + 1); code != 0)
      return Error{fmt::format("worker {} did not start: {}", worker->id(), rte_strerror(-code)), ""};
  }
  return {};
}

void Gateway::stop_workers() {
  if (!std::exchange(running_, false)) return;
  shared_.stop.store(true);
  rte_eal_mp_wait_lcore();
}

Gateway::~Gateway() {
  stop_workers();
  shared_.rings.destroy();
  workers_.clear();
  ports_.clear();
  sas_.reset();
  forwarding_.reset();
  policies_.reset();
  tunnels_.reset();
  readers_.reset();
  rte_mempool_free(capture_buffers_);
  rte_mempool_free(large_buffers_);
  rte_mempool_free(buffers_);
}

unsigned Gateway::buffers_total() const {
  return buffers_->size;
}

unsigned Gateway::buffers_in_use() const {
  return rte_mempool_in_use_count(buffers_);
}

}  // namespace espgate::daemon
