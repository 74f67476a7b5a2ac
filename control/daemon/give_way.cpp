#include "control/daemon/give_way.hpp"

#include <sys/resource.h>

namespace espgate::daemon {
namespace {

constexpr int niceness = 10;  // a tenth of the CPU while the loop wants all of it

}  // namespace

// On Linux this is of the calling thread alone.
void give_way() {
  setpriority(PRIO_PROCESS, 0, niceness);
}

}  // namespace espgate::daemon
