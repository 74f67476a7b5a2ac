// Which of our own addresses can be spoken from to a peer, as the kernel has it. Pure.
#pragma once

#include <vector>

#include "datapath/net/address.hpp"
#include "drivers/host/kernel_view.hpp"

namespace espgate::daemon {

// Of `ours` those that are on an interface that runs, in their order; none if no route leads to the peer. If
// some of them are where the route leads out, or of loopback, only these: what is sent from another one there
// would not come back. A deprecated one is there for want of others alone, and a tentative one is not.
std::vector<net::Address> usable_addresses(const host::KernelView& view,
                                           const std::vector<net::Address>& ours, const net::Address& peer);

}  // namespace espgate::daemon
