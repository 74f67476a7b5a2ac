// The RouteSink of a running daemon: the datapath's forwarding tables.
#pragma once

#include "control/host/route_sink.hpp"

namespace espgate::host {

// `forwarding` must outlive it.
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
