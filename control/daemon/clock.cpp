#include "control/daemon/services.hpp"

namespace espgate::daemon {

Moment now() {
  return {std::chrono::steady_clock::now().time_since_epoch(), std::chrono::system_clock::now()};
}

}  // namespace espgate::daemon
