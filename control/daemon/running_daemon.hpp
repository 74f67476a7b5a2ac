// A running espgated: its parts in the order in which they start, and what the event loop does with them.
// Control thread only.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "control/daemon/event_loop.hpp"
#include "control/daemon/farewell.hpp"
#include "control/daemon/give_way.hpp"
#include "control/daemon/policy_table.hpp"
#include "control/daemon/port_watch.hpp"
#include "control/daemon/reloader.hpp"
#include "control/daemon/secret_keeper.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/signals.hpp"
#include "control/daemon/size_service.hpp"
#include "control/host/forwarding_routes.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/netlink_mirror.hpp"

namespace espgate::daemon {

class Daemon {
 public:
  explicit Daemon(config::Configuration configuration) : configuration_(std::move(configuration)) {}
  ~Daemon();

  // False: a signal said to stop before everything was there; what is there goes with this object.
  Expected<bool> start();
  void run() {
    on_signals();  // those that came after the last look
    loop_.run();
  }

 private:
  bool told_to_stop();
  Expected<void> start_server();
  Expected<void> start_datapath();
  Expected<void> start_twins();
  Expected<void> start_host_sync();
  Expected<void> apply_host_configuration();
  void open_spi_journal();
  void start_evidence();
  Expected<void> start_sas();
  Expected<void> watch();
  Expected<void> start_workers() { return gateway_->start_workers(); }
  void report_ready() const;
  void on_signals();
  void on_frames_from_host(std::size_t port);
  unsigned take_spi_misses();
  unsigned take_neighbour_questions();
  unsigned take_peer_moves();
  unsigned take_lifetimes();

  config::Configuration configuration_;
  Cpus spare_cpus_;
  EventLoop loop_;
  Services services_;
  Signals signals_;
  Farewell farewell_;
  bool environment_started_ = false;
  std::unique_ptr<cli::Server> server_;
  std::unique_ptr<Gateway> gateway_;
  std::vector<host::Tap> taps_;
  std::unique_ptr<HostPath> host_path_;
  std::unique_ptr<PortWatch> port_watch_;
  std::unique_ptr<host::NetlinkMirror> mirror_;
  std::optional<host::KernelCommands> kernel_;
  std::unique_ptr<host::ForwardingRoutes> routes_;
  std::unique_ptr<host::HostSync> host_sync_;
  std::unique_ptr<Tunnels> tunnels_;
  std::unique_ptr<PolicyTable> policies_;
  std::unique_ptr<sa::SpiJournal> spi_journal_;
  std::unique_ptr<sa::SaManager> sas_;
  std::unique_ptr<AssignedAddresses> assigned_;
  std::unique_ptr<IkeService> ike_;
  std::unique_ptr<SecretKeeper> secret_keeper_;
  std::unique_ptr<EvidenceService> evidence_;
  std::unique_ptr<recovery::InvalidSpiHandler> invalid_spi_;
  std::unique_ptr<SizeService> size_service_;
  std::unique_ptr<TraceService> trace_;
  std::unique_ptr<CaptureService> capture_;
  std::unique_ptr<Reloader> reloader_;
  Journal journal_;
  CounterWatch counters_{services_, configuration_.thresholds, journal_};
};

}  // namespace espgate::daemon
