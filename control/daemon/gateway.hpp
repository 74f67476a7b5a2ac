// The datapath of one espgated, put together from the configuration: environment, buffers, ports, tables,
// rings and workers. Control parts get what they need from here.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/readers.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/worker/worker.hpp"
#include "drivers/host/silence.hpp"
#include "drivers/port/open_port.hpp"

namespace espgate::daemon {

// Megabytes of DPDK memory that the limits ask for: buffers, SAs, forwarding tables, rings.
std::uint32_t memory_needed_mb(const config::Configuration& configuration);

class Gateway {
 public:
  // Everything but running workers. The environment must have been started.
  static Expected<std::unique_ptr<Gateway>> create(const config::Configuration& configuration);
  ~Gateway();

  Expected<void> start_workers();
  // Stops the workers and waits for them. Packets in rings are freed with the gateway.
  void stop_workers();

  worker::Shared& shared() { return shared_; }
  sa::SaStore& sas() { return *sas_; }
  forward::Forwarding& forwarding() { return *forwarding_; }
  policy::Classifier& policies() { return *policies_; }
  tunnel::TunnelTable& tunnels() { return *tunnels_; }
  Readers& readers() { return *readers_; }
  crypto::Engine& engine() { return *engine_; }
  const std::vector<std::unique_ptr<port::OpenPort>>& ports() const { return ports_; }
  const std::vector<std::unique_ptr<worker::Worker>>& workers() const { return workers_; }
  rte_mempool* buffers() { return buffers_; }
  unsigned buffers_total() const;
  unsigned buffers_in_use() const;

 private:
  Gateway() = default;
  Expected<void> create_buffers(const config::Configuration& configuration);
  Expected<void> open_ports(const config::Configuration& configuration);
  void silence_interfaces(const config::Configuration& configuration);
  Expected<void> create_tables(const config::Configuration& configuration);
  Expected<void> create_workers();

  worker::Shared shared_;
  rte_mempool* buffers_ = nullptr;
  rte_mempool* large_buffers_ = nullptr;
  rte_mempool* capture_buffers_ = nullptr;
  std::unique_ptr<Readers> readers_;
  std::unique_ptr<crypto::Engine> engine_;
  std::unique_ptr<sa::SaStore> sas_;
  std::unique_ptr<forward::Forwarding> forwarding_;
  std::unique_ptr<policy::Classifier> policies_;
  std::unique_ptr<tunnel::TunnelTable> tunnels_;
  std::vector<std::unique_ptr<port::OpenPort>> ports_;
  std::optional<host::Silence> silence_;  // of the kernel, on interfaces that ports share with it
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  bool running_ = false;
};

}  // namespace espgate::daemon
