// What the event loop does with the parts of the daemon.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/daemon/punted_records.hpp"
#include "control/daemon/running_daemon.hpp"
#include "control/sa/nat_keepalive.hpp"

namespace espgate::daemon {

using namespace std::chrono_literals;

Expected<void> Daemon::watch() {
  loop_.watch("signals", signals_.fd(), [this] { on_signals(); });
  loop_.watch("commands", server_->fd(), [this] { server_->serve(); });
  loop_.watch("IKE keys", ike_->descriptor(), [this] { ike_->deliver(); });
  loop_.watch("netlink", mirror_->fd(), [this] { mirror_->on_readable(); });
  for (std::size_t i = 0; i < taps_.size(); ++i)
    loop_.watch("frames from the kernel", taps_[i].fd(), [this, i] { on_frames_from_host(i); });
  loop_.poll("packets to control", [this] { return host_path_->deliver() + size_service_->tell_senders(); });
  loop_.poll("IKE timers", [this] { return ike_->run_timer(now()); });
  loop_.poll("own addresses", [this] { return ike_->follow_addresses(now()); });
  loop_.poll("invalid SPIs", [this] { return take_spi_misses(); });
  loop_.poll("neighbours", [this] { return take_neighbour_questions(); });
  loop_.poll("peers that moved", [this] { return take_peer_moves(); });
  loop_.poll("SAs", [this] { return sas_->move_on(now()); });
  loop_.poll("lifetimes", [this] { return take_lifetimes(); });
  loop_.poll("trace and capture", [this] { return trace_->poll() + capture_->poll(); });
  loop_.poll("routes", [this] {
    constexpr std::size_t prefixes_at_once = 8;
    return host_sync_->settle(host::HostSync::Clock::now(), prefixes_at_once) ? 0u : 1u;
  });
  loop_.every("SAs at ticks", 10ms, [this] { sas_->tick(now()); });
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
  loop_.every("evidence", 100ms, [this] { evidence_->tick(now()); });
  loop_.every("flows and counters", 1s, [this] {
    if (secret_keeper_) secret_keeper_->tick(now());
    invalid_spi_->tick(now());
    port_watch_->look(now());
    counters_.sample(now());
  });
  counters_.sample(now());  // what comes in the first second counts too
  return {};
}

void Daemon::on_signals() {
  if (told_to_stop()) {
    evidence_->stop();
    return farewell_.say(*ike_, loop_);
  }
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
  const auto& rings = gateway_->shared().rings;
  const auto handle = [this](const sa::SpiMiss& miss) {
    invalid_spi_->handle(miss, gateway_->ports()[miss.port]->port().name, now());
  };
  return take<sa::SpiMiss>(rings.spi_known, handle) + take<sa::SpiMiss>(rings.spi, handle);
}

unsigned Daemon::take_neighbour_questions() {
  return take<worker::NeighbourWanted>(gateway_->shared().rings.neighbour, [this](const auto& wanted) {
    host_sync_->neighbour_wanted(wanted.hop, wanted.destination, host::HostSync::Clock::now());
    ike_->neighbour_missing(wanted.destination, now());
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

}  // namespace espgate::daemon
