// The datapath's policies as the SA manager writes them.
#pragma once

#include "control/sa/surroundings.hpp"
#include "datapath/policy/classifier.hpp"

namespace espgate::daemon {

class PolicyTable final : public sa::PolicySink {
 public:
  explicit PolicyTable(policy::Classifier& policies) : policies_(policies) {}
  Expected<std::uint32_t> add(const net::TrafficSelector& selector, std::uint64_t order,
                              policy::Decision decision) override {
    return policies_.add(selector, order, decision);
  }
  void set(std::uint32_t rule, policy::Decision decision) override { policies_.set(rule, decision); }
  void remove(std::uint32_t rule) override { policies_.remove(rule); }
  void settle() override { policies_.settle(); }
  void stand_in(std::span<const policy::StandIn> refused) override { policies_.stand_in(refused); }

 private:
  policy::Classifier& policies_;
};

}  // namespace espgate::daemon
