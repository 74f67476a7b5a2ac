// What the operator's commands act on: the parts of a running daemon. All outlive the command server.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <vector>

#include "control/cli/server.hpp"
#include "control/config/configuration.hpp"
#include "control/daemon/capture_service.hpp"
#include "control/daemon/counter_watch.hpp"
#include "control/daemon/event_loop.hpp"
#include "control/daemon/evidence_service.hpp"
#include "control/daemon/gateway.hpp"
#include "control/daemon/host_path.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/reloader.hpp"
#include "control/daemon/trace_service.hpp"
#include "control/daemon/tunnels.hpp"
#include "control/host/host_sync.hpp"
#include "control/recovery/invalid_spi_handler.hpp"
#include "control/sa/sa_manager.hpp"

namespace espgate::daemon {

// Times as control code takes them, read from the clocks now.
Moment now();

// What of the limits and the threads does not change while the daemon runs, and what `reload` renews.
struct Services {
  config::Configuration* configuration = nullptr;
  Gateway* gateway = nullptr;
  HostPath* host_path = nullptr;
  host::HostSync* host_sync = nullptr;
  sa::SaManager* sas = nullptr;
  IkeService* ike = nullptr;
  recovery::InvalidSpiHandler* invalid_spi = nullptr;
  const EvidenceService* evidence = nullptr;
  Tunnels* tunnels = nullptr;
  const host::KernelView* kernel = nullptr;
  TraceService* trace = nullptr;
  CaptureService* capture = nullptr;
  std::chrono::system_clock::time_point started;
  Reloader* reloader = nullptr;
  const CounterWatch* counters = nullptr;
  Journal* journal = nullptr;
  const EventLoop* loop = nullptr;
};

// Handlers of all commands, for cli::Server. `services` is read when a command comes, so it may still be
// empty now.
cli::Handlers make_handlers(Services& services);

// A selector's fields beside its addresses as JSON: null where it does not narrow them.
struct NarrowedFields {
  nlohmann::json protocol, local_ports, remote_ports, icmp_type;
};
NarrowedFields narrowed_fields(const net::TrafficSelector& selector);

// The parts of make_handlers, one file each.
void add_drop_commands(Services& services, cli::Handlers& handlers);
void add_sa_commands(Services& services, cli::Handlers& handlers);
void add_invalid_spi_commands(Services& services, cli::Handlers& handlers);
void add_connection_commands(Services& services, cli::Handlers& handlers);
void add_policy_commands(Services& services, cli::Handlers& handlers);
void add_system_commands(Services& services, cli::Handlers& handlers);
void add_export_commands(Services& services, cli::Handlers& handlers);
void add_packet_commands(Services& services, cli::Handlers& handlers);
void add_ike_commands(Services& services, cli::Handlers& handlers);
void add_diagnose_command(Services& services, cli::Handlers& handlers);
void add_tunnel_commands(Services& services, cli::Handlers& handlers);

}  // namespace espgate::daemon
