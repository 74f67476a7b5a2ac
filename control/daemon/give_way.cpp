#include "control/daemon/give_way.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>

namespace espgate::daemon {
namespace {

constexpr int niceness = 5;  // a third of the CPU while the loop wants all of it

bool run_on(std::span<const unsigned> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const auto cpu : cpus) CPU_SET(cpu, &set);
  return !cpus.empty() && sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace

Cpus spare_cpus(unsigned control_cpu, std::span<const unsigned> worker_cpus) {
  Cpus spare;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return spare;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && cpu != control_cpu && std::ranges::count(worker_cpus, cpu) == 0)
      spare.push_back(cpu);
  return spare;
}

void give_way(const char* name, std::span<const unsigned> spare) {
  pthread_setname_np(pthread_self(), name);
  if (run_on(spare)) return;
  // On Linux this is of the calling thread alone.
  const int before = getpriority(PRIO_PROCESS, 0);
  setpriority(PRIO_PROCESS, 0, before + niceness);
}

}  // namespace espgate::daemon
