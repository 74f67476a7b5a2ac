// What espgate tells the kernel to do: addresses and routes from its configuration, and questions to
// neighbours. Each call is answered by the kernel before it returns, in some ten microseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/net/address.hpp"
#include "drivers/host/netlink_socket.hpp"

namespace espgate::host {

// Control thread only. Every error says what was asked, what the kernel answered and what to do.
class KernelCommands {
 public:
  static Expected<KernelCommands> create();

  // An IPv6 address is used at once, without duplicate address detection: a gateway that restarts takes
  // its address back without a pause. An address that is there already is no error.
  Expected<void> add_address(int ifindex, const net::InterfaceAddress& address);
  Expected<void> remove_address(int ifindex, const net::InterfaceAddress& address);

  struct RouteRequest {
    net::Prefix to;
    std::optional<net::Address> via;  // none: directly on the link, needs `ifindex`
    int ifindex = 0;                  // 0: the kernel finds the interface by `via`
    std::uint32_t metric = 0;
  };
  // A route that is there already is an error, since the kernel does not say where it leads.
  Expected<void> add_route(const RouteRequest& route);
  // Removes only what has protocol static, as add_route makes it. A route that is not there (any more) is no
  // error.
  Expected<void> remove_route(const RouteRequest& route);

  // Asks the kernel to find or confirm a neighbour by ARP or neighbour discovery (RTM_NEWNEIGH with
  // NTF_USE). A resolved neighbour that is fresh stays as it is, and so does a permanent one: asked for, it
  // would lose its MAC address, and the mirror may not have heard yet that somebody made it permanent.
  Expected<void> resolve_neighbour(int ifindex, const net::Address& address);

 private:
  explicit KernelCommands(NetlinkSocket socket) : socket_(std::move(socket)) {}
  std::optional<std::uint16_t> neighbour_state(int ifindex, const net::Address& address);  // NUD_*
  static Expected<void> outcome(const NetlinkSocket::Refusal& refusal, const std::string& doing,
                                const std::string& subject);
  Expected<void> run(nl_msg* request, const std::string& doing, const std::string& subject, int accept);

  NetlinkSocket socket_;
};

}  // namespace espgate::host
