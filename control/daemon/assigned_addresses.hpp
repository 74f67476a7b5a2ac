// Addresses that peers gave us (RFC 7296 3.15), put on the interface of our end of the connection for as long
// as an IKE SA has them. Control thread only.
#pragma once

#include <map>
#include <vector>

#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/kernel_view.hpp"

namespace espgate::daemon {

class AssignedAddresses {
 public:
  // Both outlive it.
  AssignedAddresses(host::KernelCommands& kernel, const host::KernelView& view)
      : kernel_(kernel), view_(view) {}

  // `beside`: our address, which says the interface. What fails is logged.
  void take(const net::Address& beside, const std::vector<net::Address>& addresses);
  void drop(const std::vector<net::Address>& addresses);

 private:
  struct Entry {
    int ifindex = 0;
    unsigned users = 0;  // IKE SAs; while one takes over from another both have it
  };

  host::KernelCommands& kernel_;
  const host::KernelView& view_;
  std::map<net::Address, Entry> entries_;
};

}  // namespace espgate::daemon
