#include "control/ike/window.hpp"

#include <algorithm>
#include <cmath>

namespace espgate::ike {

void OurRequest::start(std::uint32_t id, Messages messages, const Retransmission& plan, Time now,
                       double jitter) {
  id_ = id;
  messages_ = std::move(messages);
  plan_ = plan;
  tries_ = 1;
  ++tally_.requests;
  wait(now, jitter);
}

void OurRequest::begin_again(Time now, double jitter) {
  tries_ = 1;
  wait(now, jitter);
}

bool OurRequest::try_again(Time now, double jitter) {
  if (tries_ >= plan_.tries) {
    give_up();
    return false;
  }
  ++tries_;
  ++tally_.repeats;
  wait(now, jitter);
  return true;
}

bool OurRequest::may_repeat(Time now) {
  if (!is_under_way() || now < not_before_) return false;
  not_before_ = never;
  ++tally_.repeats;
  return true;
}

void OurRequest::wait(Time now, double jitter) {
  constexpr Time moment = std::chrono::milliseconds(100);
  constexpr double longest_s = 60;
  constexpr double spread = 0.2;  // a tenth to either side
  const double plain_s =
      std::chrono::duration<double>(plan_.first).count() * std::pow(plan_.factor, tries_ - 1);
  const double wait_s = std::min(plain_s, longest_s) * (1 - spread / 2 + spread * jitter);
  not_before_ = now + moment;
  due_ = now + std::chrono::duration_cast<Time>(std::chrono::duration<double>(wait_s));
}

}  // namespace espgate::ike
