#include "drivers/port/open_port.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

namespace espgate::port {
namespace {

constexpr std::uint64_t rss_fields = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_ESP;

Error device_error(const char* what, int code) {
  return {fmt::format("{}: {}", what, rte_strerror(-code)),
          "check the device's driver, and the messages of DPDK above"};
}

// What the device says of its frames decides as well: many drivers name no largest MTU.
unsigned largest_mtu(const rte_eth_dev_info& info) {
  const bool both = info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu;
  const unsigned overhead = both ? info.max_rx_pktlen - info.max_mtu : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
  if (info.max_rx_pktlen <= overhead) return info.max_mtu;
  return std::min<unsigned>(info.max_mtu, info.max_rx_pktlen - overhead);
}

// Both are called by DPDK's interrupt thread when a device is pulled: drivers that share the device with the
// kernel say it of their port, vfio of the device, which the kernel asks back until it is released.
int on_port_removal(std::uint16_t, rte_eth_event_type, void* port, void*) {
  static_cast<Port*>(port)->present.store(false, std::memory_order_relaxed);
  return 0;
}
void on_device_removal(const char*, rte_dev_event_type event, void* port) {
  if (event == RTE_DEV_EVENT_REMOVE) on_port_removal(0, RTE_ETH_EVENT_INTR_RMV, port, nullptr);
}

// Up and with carrier, as the kernel sees it: DPDK's drivers on kernel interfaces always say up.
bool interface_runs(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return true;
  const bool answered = ioctl(probe, SIOCGIFFLAGS, &request) == 0;
  close(probe);
  return answered && (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

}  // namespace

std::string vdev_for(const std::string& device, unsigned workers) {
  const bool takes_pairs = device.starts_with("net_af_packet") && device.find("qpairs=") == std::string::npos;
  return takes_pairs && workers > 1 ? fmt::format("{},qpairs={}", device, workers) : device;
}

OpenPort::OpenPort(const PortOptions& options) : interface_(interface_of(options.device)) {
  port_.name = options.name;
  port_.device = options.device;
  port_.mtu = options.mtu;
  port_.vlans = options.vlans;
  port_.ipsec = options.ipsec;
}

Expected<std::unique_ptr<OpenPort>> OpenPort::open(const PortOptions& options, rte_mempool* buffers) {
  std::unique_ptr<OpenPort> port(new OpenPort(options));
  if (auto configured = port->configure(options, buffers); !configured) return configured.error();
  return port;
}

Expected<void> OpenPort::configure(const PortOptions& options, rte_mempool* buffers) {
  const std::string ethdev_name = options.device.substr(0, options.device.find(','));
  if (rte_eth_dev_get_port_by_name(ethdev_name.c_str(), &port_.ethdev) != 0)
    return is_pci_address(options.device)
               ? Error{"DPDK has no such device",
                       "its messages above tell why: busy means that another program has it; without any, "
                       "DPDK has no driver for such a card"}
               : Error{"the driver refused it",
                       "its messages above may tell why; check the values of its arguments, as the page of "
                       "the driver in DPDK's guide explains them"};
  rte_eth_dev_info info{};
  if (const int code = rte_eth_dev_info_get(port_.ethdev, &info); code != 0)
    return device_error("cannot be read", code);
  port_.driver = info.driver_name;
  device_ = info.device;
  if (info.max_tx_queues < options.workers)
    return Error{fmt::format("{} workers need as many transmit queues, the device ({}) has {}",
                             options.workers, port_.driver, info.max_tx_queues),
                 "name fewer CPUs in worker-cpus, or give the device more queues"};
  port_.transmit_queues = static_cast<std::uint16_t>(options.workers);
  port_.receive_queues = static_cast<std::uint16_t>(std::min<unsigned>(options.workers, info.max_rx_queues));

  rte_eth_conf conf{};
  const std::uint64_t fields = rss_fields & info.flow_type_rss_offloads;
  if (port_.receive_queues > 1 && fields != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = fields;
  }
  conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
  // Of two tags cards differ in which one they mean: workers read both.
  if (options.vlans != 0 && net::service_of(options.vlans) == 0)
    conf.rxmode.offloads |=
        info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_VLAN_FILTER);
  conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  // No link interrupts: with them DPDK tells the state of the last one, and with some devices (82574,
  // vmxnet3) none ever comes. Without them refresh_link reads the device.
  conf.intr_conf.rmv = (*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
  port_.receive_offloads = conf.rxmode.offloads;
  port_.transmit_offloads = conf.txmode.offloads;
  port_.good_checksum_flag = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;

  if (const int code =
          rte_eth_dev_configure(port_.ethdev, port_.receive_queues, port_.transmit_queues, &conf);
      code != 0)
    return device_error("cannot be configured", code);
  const auto tags = net::tags_in_mtu(options.vlans);
  if (const int code = rte_eth_dev_set_mtu(port_.ethdev, static_cast<std::uint16_t>(options.mtu + tags));
      code != 0 && code != -ENOTSUP)
    return Error{fmt::format("the device ({}) takes no mtu of {}{}", port_.driver, options.mtu,
                             tags != 0 ? fmt::format(" with {} bytes of tags", tags) : std::string()),
                 fmt::format("its largest is {}", largest_mtu(info) - tags)};

  std::uint16_t rx_entries = queue_entries;
  std::uint16_t tx_entries = queue_entries;
  rte_eth_dev_adjust_nb_rx_tx_desc(port_.ethdev, &rx_entries, &tx_entries);
  const int socket = rte_eth_dev_socket_id(port_.ethdev);
  for (std::uint16_t queue = 0; queue < port_.receive_queues; ++queue)
    if (const int code = rte_eth_rx_queue_setup(port_.ethdev, queue, rx_entries,
                                                static_cast<unsigned>(socket), nullptr, buffers);
        code != 0)
      return device_error("receive queue cannot be set up", code);
  for (std::uint16_t queue = 0; queue < port_.transmit_queues; ++queue)
    if (const int code =
            rte_eth_tx_queue_setup(port_.ethdev, queue, tx_entries, static_cast<unsigned>(socket), nullptr);
        code != 0)
      return device_error("transmit queue cannot be set up", code);

  if (const int code = rte_eth_dev_start(port_.ethdev); code != 0)
    return device_error("cannot be started", code);
  started_ = true;
  rte_eth_dev_callback_register(port_.ethdev, RTE_ETH_EVENT_INTR_RMV, on_port_removal, &port_);
  rte_dev_event_callback_register(rte_dev_name(device_), on_device_removal, &port_);
  // Some devices (virtio, virtual functions) let no tagged frame through before they are told so.
  if ((port_.receive_offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0)
    if (const int code = rte_eth_dev_vlan_filter(port_.ethdev, net::customer_of(options.vlans), 1); code != 0)
      return device_error("cannot let the port's VLAN in", code);
  rte_ether_addr mac{};
  rte_eth_macaddr_get(port_.ethdev, &mac);
  std::memcpy(port_.mac.data(), mac.addr_bytes, port_.mac.size());
  // ND and multicast for the kernel's twin; a device that cannot filter hands everything up anyway.
  (void)rte_eth_allmulticast_enable(port_.ethdev);
  read_link();
  told_.up = link_.up;  // a device that is gone already is told by the first refresh
  return {};
}

OpenPort::~OpenPort() {
  close();
}

void OpenPort::close() {
  if (!std::exchange(started_, false)) return;
  rte_eth_dev_callback_unregister(port_.ethdev, RTE_ETH_EVENT_INTR_RMV, on_port_removal, &port_);
  rte_dev_event_callback_unregister(rte_dev_name(device_), on_device_removal, &port_);
  rte_eth_dev_stop(port_.ethdev);
  rte_eth_dev_close(port_.ethdev);
}

void OpenPort::release() {
  if (!started_) return;
  last_statistics_ = statistics();
  close();
  rte_dev_remove(device_);
}

bool OpenPort::device_exists() const {
  if (!interface_.empty() && if_nametoindex(interface_.c_str()) == 0) return false;
  return rte_eth_dev_is_removed(port_.ethdev) == 0;
}

void OpenPort::read_link() {
  if (port_.present.load(std::memory_order_relaxed) && !device_exists())
    port_.present.store(false, std::memory_order_relaxed);
  rte_eth_link link{};
  link_.up = port_.present.load(std::memory_order_relaxed) &&
             rte_eth_link_get_nowait(port_.ethdev, &link) == 0 && link.link_status != 0 &&
             (interface_.empty() || interface_runs(interface_));
  link_.speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
  link_.full_duplex = link.link_duplex != 0;
  port_.up.store(link_.up, std::memory_order_relaxed);
}

bool OpenPort::refresh_link() {
  read_link();
  const Told now{port_.present.load(std::memory_order_relaxed), link_.up};
  if (std::exchange(told_, now) == now) return false;
  ++link_changes_;
  return true;
}

OpenPort::Statistics OpenPort::statistics() const {
  rte_eth_stats stats{};
  if (!started_ || rte_eth_stats_get(port_.ethdev, &stats) != 0) return last_statistics_;
  return {stats.ipackets, stats.ibytes,  stats.opackets, stats.obytes,
          stats.imissed,  stats.ierrors, stats.oerrors,  stats.rx_nombuf};
}

}  // namespace espgate::port
