// The control core's part in what goes no further: tells senders, listens to routers, and keeps the SAs'
// path MTUs.
#pragma once

#include <optional>
#include <vector>

#include "control/daemon/gateway.hpp"
#include "control/daemon/host_path.hpp"
#include "control/sizes/path_mtus.hpp"
#include "drivers/host/kernel_view.hpp"
#include "drivers/host/tap.hpp"

namespace espgate::daemon {

// Control thread only.
class SizeService {
 public:
  // All outlive this; `path` must not deliver after. `twins` are those of the gateway's ports, and have their
  // addresses in `view`.
  SizeService(Gateway& gateway, HostPath& path, const std::vector<host::Tap>& twins,
              const host::KernelView& view, bool learn);

  // Tells the senders of a bounded number of refused packets. Returns how many there were.
  unsigned tell_senders();
  // Every 10 ms or so.
  void refresh();
  // An outbound SA is about to be used, or its peer moved: its path MTU must be right with the first packet.
  void refresh_one(std::uint32_t outbound_sa);

 private:
  void tell_sender(std::span<const std::uint8_t> refused, net::Refusal refusal, std::uint16_t port);
  std::optional<net::Address> address_of(std::size_t port, net::Family family) const;
  std::optional<net::Address> speaker(std::size_t port, net::Family family) const;
  void listen(std::span<const std::uint8_t> packet);

  Gateway& gateway_;
  HostPath& path_;
  const std::vector<host::Tap>& twins_;
  const host::KernelView& view_;
  sizes::PathMtus path_mtus_;
};

}  // namespace espgate::daemon
