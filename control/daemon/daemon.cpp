#include "control/daemon/daemon.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <filesystem>
#include <functional>

#include "control/daemon/log.hpp"
#include "control/daemon/running_daemon.hpp"
#include "control/daemon/tsc_clock.hpp"
#include "datapath/base/counted.hpp"
#include "drivers/port/eal.hpp"

namespace espgate::daemon {

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
    auto tap = host::Tap::create({port.name, port.mac, port.mtu, false, open->link().up});
    if (!tap) return tap.error();
    taps_.push_back(std::move(*tap));
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
  options.hops = configuration_.limits.neighbours;
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
  const auto follow = [this](const host::Event& event) {
    host_sync_->on_event(event);
    if (ike_) ike_->kernel_changed(event);
  };
  if (auto started = mirror_->start(follow); !started) return started;
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

// Without it all goes on as before, but that what was before a restart is forgotten.
void Daemon::open_spi_journal() {
  const auto& folder = configuration_.state_directory;
  if (folder.empty()) return;
  std::error_code error;
  if (std::filesystem::create_directories(folder, error))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) return spdlog::warn("state-directory {}: {}", folder, error.message());
  const auto most = configuration_.limits.inbound_sas + configuration_.limits.tombstones;
  auto journal = sa::SpiJournal::open(folder, most);
  if (!journal) return spdlog::warn("{}", journal.error().text());
  for (const auto& problem : (*journal)->problems()) spdlog::warn("{}", problem.text());
  spi_journal_ = std::move(*journal);
}

// Without files all goes on as before, but that evidence is in memory alone.
void Daemon::start_evidence() {
  std::optional<EvidenceFiles> files;
  if (spi_journal_) {  // else another has the folder, or there is none
    auto opened = EvidenceFiles::open(configuration_.state_directory);
    if (opened)
      files = std::move(*opened);
    else
      spdlog::warn("{}", opened.error().text());
  }
  evidence_ = std::make_unique<EvidenceService>(EvidenceService::Parts{
      loop_, journal_, log_line,
      [this](std::uint64_t tsc) { return wall_time(tsc, gateway_->shared().tsc_hz); },
      [this](const recovery::Case& one) { return ike_->history_of(one.key.source, one.connection); },
      configuration_.on_invalid_spi, std::move(files), spare_cpus_});
  services_.evidence = evidence_.get();
}

Expected<void> Daemon::start_sas() {
  open_spi_journal();
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
          [this](auto packet, auto tunnel) { host_path_->send(packet, worker::dummy_from_control, tunnel); },
          spi_journal_.get()},
      options);
  sas_->set_tunnels(tunnels_->by_connection());
  assigned_ = std::make_unique<AssignedAddresses>(*kernel_, mirror_->view());
  ike_ = std::make_unique<IkeService>(
      IkeService::Parts{*host_path_, *sas_, gateway_->sas(), gateway_->policies(), gateway_->tunnels(),
                        journal_, assigned_.get(), gateway_->shared().ike_spis, spare_cpus_,
                        spi_journal_.get(), &mirror_->view(), &gateway_->forwarding()},
      configuration_.limits);
  if (spi_journal_) {  // else another has the folder, or there is none
    secret_keeper_ = std::make_unique<SecretKeeper>(
        loop_, configuration_.state_directory,
        [this](std::vector<Secret> secrets) { ike_->set_token_secrets(std::move(secrets)); }, log_line,
        spare_cpus_);
    secret_keeper_->start(now());
  }
  host_path_->take_ike([this](std::span<const std::uint8_t> frame) {
    if (ike_->in_use()) ike_->received(frame, now());
    return ike_->in_use();
  });
  const auto result = sas_->configure(configuration_, now(), [this] { return told_to_stop(); });
  for (const auto& problem : result.problems) spdlog::error("{}", problem.text());
  ike_->configure(configuration_, now());
  tunnels_->follow(*sas_);
  recovery::InvalidSpiHandler::Options spi_options;
  spi_options.flows = configuration_.limits.invalid_spi_flows;
  spi_options.repairs_per_s = configuration_.limits.invalid_spi_repairs_per_s;
  spi_options.repaired_peers = configuration_.limits.ike_sas;
  start_evidence();
  invalid_spi_ = std::make_unique<recovery::InvalidSpiHandler>(spi_options, *sas_, *ike_, log_line,
                                                               sa::openssl_random, evidence_.get());
  services_.sas = sas_.get();
  services_.ike = ike_.get();
  services_.invalid_spi = invalid_spi_.get();
  reloader_ = std::make_unique<Reloader>(
      loop_, Reloadable{configuration_, *sas_, *kernel_, mirror_->view(), tunnels_.get(), ike_.get()},
      journal_, [this] { mirror_->on_readable(); }, spare_cpus_);
  services_.reloader = reloader_.get();
  return {};
}

Daemon::~Daemon() {
  reloader_.reset();
  if (gateway_) gateway_->stop_workers();
  // Clients that still wait are told, while what their commands refer to is there.
  capture_.reset();
  trace_.reset();
  journal_.close();
  server_.reset();
  evidence_.reset();
  secret_keeper_.reset();
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

Expected<void> run(config::Configuration configuration) {
  start_log(configuration.log_level);
  Daemon daemon(std::move(configuration));
  const auto started = daemon.start();
  if (!started) return started.error();
  if (*started) daemon.run();
  return {};
}

}  // namespace espgate::daemon
