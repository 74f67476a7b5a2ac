#include "control/daemon/give_way.hpp"

#include <sys/resource.h>

namespace espgate::daemon {
namespace {

constexpr int niceness = 5;  // a third of the CPU while the loop wants all of it

}  // namespace

// On Linux this is of the calling thread alone.
void give_way() {
  const int before = getpriority(PRIO_PROCESS, 0);
  setpriority(PRIO_PROCESS, 0, before + niceness);
}

}  // namespace espgate::daemon
