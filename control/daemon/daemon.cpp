#include "control/daemon/daemon.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <functional>

#include "control/cli/values.hpp"
#include "control/daemon/event_loop.hpp"
#include "control/daemon/farewell.hpp"
#include "control/daemon/log.hpp"
#include "control/daemon/policy_table.hpp"
#include "control/daemon/port_watch.hpp"
#include "control/daemon/punted_records.hpp"
#include "control/daemon/reloader.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/signals.hpp"
#include "control/daemon/size_service.hpp"
#include "control/host/forwarding_routes.hpp"
#include "control/sa/nat_keepalive.hpp"
#include "datapath/base/counted.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/netlink_mirror.hpp"
#include "drivers/port/eal.hpp"

namespace espgate::daemon {
namespace {

using namespace std::chrono_literals;

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
  std::unique_ptr<sa::SaManager> sas_;
  std::unique_ptr<AssignedAddresses> assigned_;
  std::unique_ptr<IkeService> ike_;
  std::unique_ptr<recovery::InvalidSpiHandler> invalid_spi_;
  std::unique_ptr<SizeService> size_service_;
  std::unique_ptr<TraceService> trace_;
  std::unique_ptr<CaptureService> capture_;
  std::unique_ptr<Reloader> reloader_;
  Journal journal_;
  CounterWatch counters_{services_, configuration_.thresholds, journal_};
};

// The socket comes first: it is how a second espgated with the same socket is found out.
Expected<bool> Daemon::start() {
  services_.started = std::chrono::system_clock::now();
  services_.configuration = &configuration_;
  services_.counters = &counters_;
  services_.journal = &journal_;
  services_.loop = &loop_;
  if (auto opened = signals_.open(); !opened) return opened.error();
  for (const auto step :
       {&Daemon::start_server, &Daemon::start_datapath, &Daemon::start_twins, &Daemon::start_host_sync,
        &Daemon::start_sas, &Daemon::watch, &Daemon::start_workers}) {
    if (told_to_stop()) return false;
    if (auto done = (this->*step)(); !done) return done.error();
  }
  if (told_to_stop()) return false;
  report_ready();
  return true;
}

bool Daemon::told_to_stop() {
  const bool before = signals_.stop() != nullptr;
  signals_.take();
  if (signals_.stop() == nullptr) return false;
  if (!before) {
    spdlog::info("stopping: {}", signals_.stop());
    sd_notify(0, "STOPPING=1");
  }
  return true;
}

void Daemon::report_ready() const {
  const auto took = std::chrono::system_clock::now() - services_.started;
  spdlog::info("ready: {}, {}, {}, {} ({}); started in {} ms", counted(taps_.size(), "port"),
               counted(configuration_.connections.size(), "connection"),
               counted(gateway_->workers().size(), "worker"), gateway_->engine().name(),
               gateway_->engine().implementation(),
               std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  if (!configuration_.hugepages)
    spdlog::warn("running without huge pages, which is for trying out: expect a fraction of the speed");
  sd_notify(0, "READY=1");
}

Expected<void> Daemon::start_server() {
  cli::ServerOptions options;
  options.path = configuration_.socket;
  options.log = [](const std::string& line) { spdlog::info("{}", line); };
  auto server = cli::Server::start(std::move(options), make_handlers(services_));
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

Expected<void> Daemon::start_datapath() {
  port::EalOptions options;
  options.instance =
      fmt::format("espgate-{:08x}", std::hash<std::string>{}(configuration_.socket) & 0xffff'ffff);
  options.control_cpu = configuration_.control_cpu;
  options.worker_cpus = configuration_.worker_cpus;
  options.hugepages = configuration_.hugepages;
  options.memory_mb = memory_needed_mb(configuration_);
  for (const auto& port : configuration_.ports) {
    if (port::is_pci_address(port.device))
      options.pci_addresses.push_back(port.device);
    else
      options.vdevs.push_back(port::vdev_for(port.device, static_cast<unsigned>(options.worker_cpus.size())));
  }
  spare_cpus_ = spare_cpus(options.control_cpu, options.worker_cpus);
  if (auto started = port::start_eal(options); !started) return started;
  environment_started_ = true;
  auto gateway = Gateway::create(configuration_);
  if (!gateway) return gateway.error();
  gateway_ = std::move(*gateway);
  services_.gateway = gateway_.get();
  trace_ = std::make_unique<TraceService>(gateway_->shared(), [this](tunnel::Index index) {
    return tunnels_ ? tunnels_->name_of(index) : std::string();
  });
  capture_ = std::make_unique<CaptureService>(gateway_->shared());
  services_.trace = trace_.get();
  services_.capture = capture_.get();
  return {};
}

Expected<void> Daemon::start_twins() {
  for (const auto& open : gateway_->ports()) {
    const auto& port = open->port();
    auto tap = host::Tap::create({port.name, port.mac, port.mtu});
    if (!tap) return tap.error();
    taps_.push_back(std::move(*tap));
    if (auto carrier = taps_.back().set_carrier(open->link().up); !carrier) return carrier;
  }
  host_path_ = std::make_unique<HostPath>(taps_, gateway_->shared().rings, gateway_->buffers());
  services_.host_path = host_path_.get();
  port_watch_ = std::make_unique<PortWatch>(*gateway_, taps_, *host_path_, journal_);
  return {};
}

Expected<void> Daemon::start_host_sync() {
  auto kernel = host::KernelCommands::create();
  if (!kernel) return kernel.error();
  kernel_.emplace(std::move(*kernel));

  host::NetlinkMirror::Options mirror_options;
  mirror_options.routes = configuration_.limits.routes;
  mirror_options.neighbours = configuration_.limits.neighbours;
  host::HostSync::Options options;
  for (std::size_t i = 0; i < taps_.size(); ++i) {
    const auto& port = gateway_->ports()[i]->port();
    mirror_options.ifindexes.insert(taps_[i].ifindex());
    options.ports.push_back(
        {static_cast<std::uint8_t>(i), taps_[i].ifindex(), port.name, port.mac, port.mtu, port.vlans});
  }
  options.ask_neighbour = [this](int ifindex, const net::Address& address) {
    return kernel_->resolve_neighbour(ifindex, address);
  };
  options.log = [](const std::string& line) { spdlog::warn("{}", line); };
  auto mirror = host::NetlinkMirror::create(mirror_options);
  if (!mirror) return mirror.error();
  mirror_ = std::move(*mirror);
  routes_ = std::make_unique<host::ForwardingRoutes>(gateway_->forwarding());
  host_sync_ = std::make_unique<host::HostSync>(*routes_, mirror_->view(), std::move(options));
  services_.host_sync = host_sync_.get();
  services_.kernel = &mirror_->view();
  tunnels_ =
      std::make_unique<Tunnels>(Tunnels::Parts{gateway_->tunnels(), *kernel_, *host_path_, loop_, [this] {
                                                 host_sync_->set_tunnels(tunnels_->links());
                                                 while (!host_sync_->settle(host::HostSync::Clock::now())) {
                                                 }
                                                 if (sas_) sas_->set_tunnels(tunnels_->by_connection());
                                               }});
  services_.tunnels = tunnels_.get();
  if (auto done = apply_host_configuration(); !done) return done;
  if (auto started = mirror_->start([this](const host::Event& event) { host_sync_->on_event(event); });
      !started)
    return started;
  while (!host_sync_->settle(host::HostSync::Clock::now())) {
  }
  return {};
}

// Addresses and routes of the file go into the kernel, from where they come back like any others.
Expected<void> Daemon::apply_host_configuration() {
  for (std::size_t i = 0; i < taps_.size(); ++i)
    for (const auto& address : configuration_.ports[i].addresses)
      if (auto added = kernel_->add_address(taps_[i].ifindex(), address); !added) return added;
  if (const auto tunnels = tunnels_->configure(configuration_); !tunnels.problems.empty())
    return Error{tunnels.problems.front(), ""};
  for (const auto& route : configuration_.routes)
    if (auto added = kernel_->add_route({route.to, route.via, 0, 0}); !added) {
      added.error().what = fmt::format("{}:{}: {}", configuration_.file, route.line, added.error().what);
      return added;
    }
  return {};
}

Expected<void> Daemon::start_sas() {
  policies_ = std::make_unique<PolicyTable>(gateway_->policies());
  size_service_ = std::make_unique<SizeService>(*gateway_, *host_path_, taps_, mirror_->view(),
                                                configuration_.path_mtu_discovery);
  sa::SaManager::Options options;
  options.tombstones = configuration_.limits.tombstones;
  options.tombstone = std::chrono::seconds(configuration_.limits.tombstone_s);
  options.linger = std::chrono::seconds(configuration_.limits.linger_s);
  sas_ = std::make_unique<sa::SaManager>(
      sa::SaManager::Parts{
          gateway_->sas(), *policies_, gateway_->readers(), sa::openssl_random, log_line,
          [this](const sa::LifetimeNews& news) {
            journal_.add(news, now());
            ike_->lifetime_reached(news, now());
          },
          &gateway_->tunnels(), [this](std::uint32_t index) { size_service_->refresh_one(index); },
          [this](auto packet, auto tunnel) { host_path_->send(packet, worker::dummy_from_control, tunnel); }},
      options);
  sas_->set_tunnels(tunnels_->by_connection());
  assigned_ = std::make_unique<AssignedAddresses>(*kernel_, mirror_->view());
  ike_ = std::make_unique<IkeService>(
      IkeService::Parts{*host_path_, *sas_, gateway_->sas(), gateway_->policies(), gateway_->tunnels(),
                        journal_, assigned_.get(), gateway_->shared().ike_spis, spare_cpus_},
      configuration_.limits);
  host_path_->take_ike([this](std::span<const std::uint8_t> frame) {
    if (ike_->in_use()) ike_->received(frame, now());
    return ike_->in_use();
  });
  const auto result = sas_->configure(configuration_, now(), [this] { return told_to_stop(); });
  for (const auto& problem : result.problems) spdlog::error("{}", problem.text());
  ike_->configure(configuration_, now());
  tunnels_->follow(*sas_);
  const recovery::InvalidSpiHandler::Options spi_options{.flows = configuration_.limits.invalid_spi_flows};
  invalid_spi_ =
      std::make_unique<recovery::InvalidSpiHandler>(spi_options, *sas_, log_line, sa::openssl_random);
  services_.sas = sas_.get();
  services_.ike = ike_.get();
  services_.invalid_spi = invalid_spi_.get();
  reloader_ = std::make_unique<Reloader>(
      loop_, Reloadable{configuration_, *sas_, *kernel_, mirror_->view(), tunnels_.get(), ike_.get()},
      journal_, [this] { mirror_->on_readable(); }, spare_cpus_);
  services_.reloader = reloader_.get();
  return {};
}

Expected<void> Daemon::watch() {
  loop_.watch("signals", signals_.fd(), [this] { on_signals(); });
  loop_.watch("commands", server_->fd(), [this] { server_->serve(); });
  loop_.watch("IKE keys", ike_->descriptor(), [this] { ike_->deliver(); });
  loop_.watch("netlink", mirror_->fd(), [this] { mirror_->on_readable(); });
  for (std::size_t i = 0; i < taps_.size(); ++i)
    loop_.watch("frames from the kernel", taps_[i].fd(), [this, i] { on_frames_from_host(i); });
  loop_.poll("packets to control", [this] { return host_path_->deliver() + size_service_->tell_senders(); });
  loop_.poll("IKE timers", [this] { return ike_->run_timers(now()); });
  loop_.poll("invalid SPIs", [this] { return take_spi_misses(); });
  loop_.poll("neighbours", [this] { return take_neighbour_questions(); });
  loop_.poll("peers that moved", [this] { return take_peer_moves(); });
  loop_.poll("lifetimes", [this] { return take_lifetimes(); });
  loop_.poll("trace and capture", [this] { return trace_->poll() + capture_->poll(); });
  loop_.poll("routes", [this] { return host_sync_->settle(host::HostSync::Clock::now()) ? 0u : 1u; });
  loop_.every("SAs", 10ms, [this] { sas_->tick(now()); });
  loop_.every("IKE traffic", 10ms, [this] { ike_->tick(now()); });
  loop_.every("path MTUs", 10ms, [this] { size_service_->refresh(); });
  loop_.every("NAT keepalives", 10ms, [this] {
    sas_->visit_silent(now(), [this](const sa::OutboundSa& sa) {
      (void)host_path_->send(sa::NatKeepalive(sa).bytes());  // lost like any UDP; the next is due soon
    });
  });
  loop_.every("kernel and tunnels", 100ms, [this] {
    const auto time = host::HostSync::Clock::now();
    mirror_->tick(time);
    host_sync_->tick(time);
    tunnels_->follow(*sas_);
  });
  loop_.every("flows and counters", 1s, [this] {
    invalid_spi_->tick(now());
    port_watch_->look(now());
    counters_.sample(now());
  });
  counters_.sample(now());  // what comes in the first second counts too
  return {};
}

void Daemon::on_signals() {
  if (told_to_stop()) return farewell_.say(*ike_, loop_);
  if (!signals_.take_reload()) return;
  // What comes of it is logged.
  if (auto started = reloader_->start([](const Expected<nlohmann::json>&) {}); !started)
    spdlog::warn("SIGHUP: {}", started.error().text());
}

void Daemon::on_frames_from_host(std::size_t port) {
  const auto taken = host_path_->take(port);
  if (taken) return;
  // Readable for ever, it would keep the loop from sleeping.
  loop_.unwatch(taps_[port].fd());
  spdlog::error(
      "port {}: {}; until then its packets to the kernel are dropped as HOST_TAP_FULL, and it has no "
      "addresses or routes; everything else goes on",
      taps_[port].name(), taken.error().text());
}

unsigned Daemon::take_spi_misses() {
  return take<sa::SpiMiss>(gateway_->shared().rings.spi, [this](const sa::SpiMiss& miss) {
    invalid_spi_->handle(miss, gateway_->ports()[miss.port]->port().name, now());
  });
}

unsigned Daemon::take_neighbour_questions() {
  return take<worker::NeighbourWanted>(gateway_->shared().rings.neighbour, [this](const auto& wanted) {
    host_sync_->neighbour_wanted(wanted.hop, wanted.destination, host::HostSync::Clock::now());
  });
}

unsigned Daemon::take_peer_moves() {
  return take<worker::PeerMoved>(gateway_->shared().rings.peer, [this](const worker::PeerMoved& move) {
    sas_->peer_moved(move.spi, net::Address::from_bytes(move.family, move.address), move.port, now());
  });
}

unsigned Daemon::take_lifetimes() {
  return take<sa::LifetimeReached>(gateway_->shared().rings.lifetime,
                                   [this](const auto& reached) { sas_->lifetime_reached(reached, now()); });
}

Daemon::~Daemon() {
  reloader_.reset();
  if (gateway_) gateway_->stop_workers();
  // Clients that still wait are told, while what their commands refer to is there.
  capture_.reset();
  trace_.reset();
  server_.reset();
  tunnels_.reset();
  ike_.reset();
  sas_.reset();
  size_service_.reset();
  host_sync_.reset();
  mirror_.reset();
  taps_.clear();
  gateway_.reset();
  if (environment_started_) port::stop_eal();
}

}  // namespace

Expected<void> run(config::Configuration configuration) {
  start_log(configuration.log_level);
  Daemon daemon(std::move(configuration));
  const auto started = daemon.start();
  if (!started) return started.error();
  if (*started) daemon.run();
  return {};
}

}  // namespace espgate::daemon
