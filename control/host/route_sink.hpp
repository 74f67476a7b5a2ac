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

// The datapath's own. `forwarding` must outlive it.
class ForwardingRoutes final : public RouteSink {
 public:
  explicit ForwardingRoutes(forward::Forwarding& forwarding) : forwarding_(forwarding) {}
  Expected<forward::HopIndex> add_hop(const forward::Hop& hop) override { return forwarding_.add_hop(hop); }
  void remove_hop(forward::HopIndex index) override { forwarding_.remove_hop(index); }
  Expected<void> set_route(const net::Prefix& destination, forward::HopIndex hop) override {
    return forwarding_.set_route(destination, hop);
  }
  Expected<void> remove_route(const net::Prefix& destination) override {
    return forwarding_.remove_route(destination);
  }

 private:
  forward::Forwarding& forwarding_;
};

}  // namespace espgate::host
