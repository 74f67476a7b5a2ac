// The end: peers are told that their IKE SAs are gone, so that they send nothing into the void and another
// gateway can take over. Control thread only.
#pragma once

#include "control/daemon/event_loop.hpp"
#include "control/daemon/ike_service.hpp"

namespace espgate::daemon {

class Farewell {
 public:
  // Stops the loop once all have answered, or after a second. Said again, at once. Both outlive this.
  void say(IkeService& ike, EventLoop& loop);

 private:
  bool is_said_ = false;
};

}  // namespace espgate::daemon
