// The workers as readers of shared tables: DPDK's quiescent-state RCU behind the two forms that control
// needs, asking whether a grace period has passed and waiting for one.
#pragma once

#include <cstdint>
#include <memory>

#include "control/sa/surroundings.hpp"

struct rte_rcu_qsbr;

namespace espgate::daemon {

class Readers final : public sa::ReaderGrace {
 public:
  // For up to `workers` readers, each known by its worker id. Needs EAL. Throws std::bad_alloc.
  explicit Readers(unsigned workers);
  ~Readers() override;

  rte_rcu_qsbr* rcu() { return rcu_; }
  std::uint64_t start() override;
  bool passed(std::uint64_t token) override;
  // Returns once every worker has been quiescent since the call: microseconds for busy workers, the idle
  // sleep at most for idle ones.
  void wait();

 private:
  rte_rcu_qsbr* rcu_;
};

}  // namespace espgate::daemon
