#include "control/daemon/port_watch.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/daemon/readers.hpp"

namespace espgate::daemon {

void PortWatch::look(Moment now) {
  for (std::size_t i = 0; i < twins_.size(); ++i) {
    auto& open = *gateway_.ports()[i];
    if (!open.refresh_link()) continue;
    note(open, now);
    if (path_.twin_gone(i)) continue;
    if (auto carrier = twins_[i].set_carrier(open.link().up); !carrier)
      spdlog::warn("{}", carrier.error().text());
  }
}

void PortWatch::note(port::OpenPort& open, Moment now) {
  const auto& port = open.port();
  if (!port.present.load(std::memory_order_relaxed)) {
    gateway_.readers().wait();  // no worker is in the port any more, or will be
    open.release();
    journal_.add(EventKind::port_gone, port.name, fmt::format("device {} is gone", port.device), now);
    spdlog::error("port {} ({}) is gone; its traffic is dropped as PORT_DOWN until espgated is restarted",
                  port.name, port.device);
    return;
  }
  const bool up = open.link().up;
  journal_.add(up ? EventKind::port_up : EventKind::port_down, port.name,
               fmt::format("link {}", up ? "up" : "down"), now);
  spdlog::warn("port {}: link {}", port.name, up ? "up" : "down");
}

}  // namespace espgate::daemon
