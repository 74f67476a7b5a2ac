// The control core's part in packets that are too large: tells senders, listens to routers, and keeps the
// SAs' path MTUs.
#pragma once

#include <functional>
#include <optional>

#include "control/daemon/gateway.hpp"
#include "control/daemon/host_path.hpp"
#include "control/sizes/path_mtus.hpp"

namespace espgate::daemon {

// Control thread only.
class SizeService {
 public:
  // An address of the port's twin, of that family, to speak with.
  using AddressOf = std::function<std::optional<net::Address>(std::size_t port, net::Family family)>;
  // All outlive this; `path` must not deliver after.
  SizeService(Gateway& gateway, HostPath& path, AddressOf address_of,
              const sizes::PathMtus::Options& options);

  // Tells the senders of a bounded number of refused packets. Returns how many there were.
  unsigned tell_senders();
  // Every 10 ms or so.
  void refresh();

 private:
  void tell_sender(std::span<const std::uint8_t> refused, std::uint16_t largest, std::uint16_t port);
  std::optional<net::Address> speaker(std::size_t port, net::Family family) const;
  void listen(std::span<const std::uint8_t> packet);

  Gateway& gateway_;
  HostPath& path_;
  AddressOf address_of_;
  sizes::PathMtus path_mtus_;
};

}  // namespace espgate::daemon
