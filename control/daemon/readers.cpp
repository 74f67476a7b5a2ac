#include "control/daemon/readers.hpp"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <new>

namespace espgate::daemon {

Readers::Readers(unsigned workers)
    : rcu_(static_cast<rte_rcu_qsbr*>(
          rte_zmalloc("readers", rte_rcu_qsbr_get_memsize(workers), RTE_CACHE_LINE_SIZE))) {
  if (rcu_ == nullptr) throw std::bad_alloc();
  rte_rcu_qsbr_init(rcu_, workers);
}

Readers::~Readers() {
  rte_free(rcu_);
}

std::uint64_t Readers::start() {
  return rte_rcu_qsbr_start(rcu_);
}

bool Readers::passed(std::uint64_t token) {
  return rte_rcu_qsbr_check(rcu_, token, false) == 1;
}

void Readers::wait() {
  rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);
}

}  // namespace espgate::daemon
