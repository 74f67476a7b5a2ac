// The datapath's outbound policies as the SA manager writes them.
#pragma once

#include "control/sa/surroundings.hpp"
#include "datapath/forward/forwarding.hpp"

namespace espgate::daemon {

class PolicyTable final : public sa::PolicySink {
 public:
  explicit PolicyTable(forward::Forwarding& forwarding) : forwarding_(forwarding) {}
  Expected<void> set(const net::Prefix& destination, forward::Decision decision) override {
    return forwarding_.set_policy(destination, decision);
  }
  Expected<void> remove(const net::Prefix& destination) override {
    return forwarding_.remove_policy(destination);
  }

 private:
  forward::Forwarding& forwarding_;
};

}  // namespace espgate::daemon
