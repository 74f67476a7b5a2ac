#include "benchmarks/esp/ports.hpp"

#include <rte_dev.h>
#include <rte_mbuf.h>

#include <cstring>

namespace espgate::bench {
namespace {

// Ethernet, outer IPv4, ESP header, IV, trailer and ICV, and some room.
constexpr std::size_t overhead_bytes = 14 + 20 + 8 + 8 + 5 + 16 + 57;
constexpr std::size_t spare_buffers = 2'048;
constexpr unsigned cached_buffers = 256;  // as in the daemon

std::uint16_t data_room_bytes(const Load& load) {
  const std::size_t bytes = RTE_PKTMBUF_HEADROOM + load.most_inner_bytes() + overhead_bytes;
  return static_cast<std::uint16_t>((bytes + 63) & ~std::size_t{63});
}

}  // namespace

std::size_t Ports::memory_bytes(const Scene& scene, const Load& load) {
  constexpr std::size_t per_buffer = sizeof(rte_mbuf) + 2 * 64 + 2 * sizeof(void*);
  return (frame_count(scene) + spare_buffers) * (data_room_bytes(load) + per_buffer);
}

Ports::Ports(const Scene& scene, const Load& load, const Traffic& traffic, Gateway& gateway)
    : gateway_(gateway) {
  const auto count = static_cast<unsigned>(traffic.frames().size() + spare_buffers);
  buffers_ =
      rte_pktmbuf_pool_create("frames", count, cached_buffers, 0, data_room_bytes(load), SOCKET_ID_ANY);
  if (buffers_ == nullptr)
    throw Failure("not enough huge pages for " + std::to_string(count) + " packet buffers");
  gateway.shared.buffers = buffers_;
  const bool in = scene.direction == Direction::inbound;
  source_ = open(in ? outside : inside, "net_pcap0", "rx_pcap=" + traffic.pcap_path() + ",infinite_rx=1");
  sink_ = open(in ? inside : outside, "net_null0", "no-rx=1");
  gateway.shared.port_count = 2;
}

std::uint16_t Ports::open(std::uint8_t port, const std::string& name, const std::string& arguments) {
  if (rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str()) != 0)
    throw Failure("no DPDK device " + name);
  names_[port] = name;
  port::PortOptions options;
  options.name = port == outside ? "outside" : "inside";
  options.device = name;
  options.ipsec = port == outside;
  options.mtu = 1500;  // what the hops allow counts, and neither driver cares
  open_[port] = must(port::OpenPort::open(options, buffers_));
  auto& opened = open_[port]->port();
  std::memcpy(opened.mac.data(), port_macs[port], opened.mac.size());
  gateway_.shared.ports[port] = &opened;
  return opened.ethdev;
}

Ports::~Ports() {
  gateway_.shared.port_count = 0;
  for (const auto port : {outside, inside}) {
    open_[port].reset();
    if (!names_[port].empty()) rte_eal_hotplug_remove("vdev", names_[port].c_str());
  }
  rte_mempool_free(buffers_);
}

unsigned Ports::buffers_in_use() const {
  return rte_mempool_in_use_count(buffers_);
}

}  // namespace espgate::bench
