// Where HostSync puts its routes. Owned here so that tests can stand in for the datapath.
#pragma once

#include "datapath/forward/forwarding.hpp"

namespace espgate::host {

class RouteSink {
 public:
  virtual ~RouteSink() = default;
  virtual Expected<forward::HopIndex> add_hop(const forward::Hop& hop) = 0;
  virtual void remove_hop(forward::HopIndex index) = 0;
  virtual Expected<void> set_route(const net::Prefix& destination, forward::HopIndex hop) = 0;
  virtual Expected<void> remove_route(const net::Prefix& destination) = 0;
};

}  // namespace espgate::host
