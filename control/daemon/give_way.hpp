// Where threads run that do long work beside the control loop: key exchanges and signatures, the reading of a
// file.
#pragma once

#include <span>
#include <vector>

namespace espgate::daemon {

using Cpus = std::vector<unsigned>;

// Those that the calling thread may use, less the control loop's and the workers'. To be asked before DPDK
// pins that thread to the loop's CPU, which all threads that it starts from then on inherit.
Cpus spare_cpus(unsigned control_cpu, std::span<const unsigned> worker_cpus);

// The calling thread goes by this name (15 characters at most), and runs on the spare CPUs. If there are
// none, it runs where the loop does: when that has nothing to do, and little besides. Never fails: where the
// kernel refuses, the thread goes on as it was.
void give_way(const char* name, std::span<const unsigned> spare);

}  // namespace espgate::daemon
