#include "control/recovery/flood_watch.hpp"

#include <utility>

namespace espgate::recovery {

bool FloodWatch::note_new(Time now) {
  roll(now);
  if (++in_second_ > flows_per_s_ && !began_) {
    began_ = now;
    flows_ = 0;
  }
  if (began_) ++flows_;
  return began_.has_value();
}

std::optional<FloodWatch::Over> FloodWatch::tick(Time now) {
  roll(now);
  return std::exchange(over_, std::nullopt);
}

void FloodWatch::roll(Time now) {
  if (now - second_ < std::chrono::seconds(1)) return;
  if (began_ && in_second_ <= flows_per_s_) {
    over_ = Over{now - *began_, flows_};
    began_.reset();
  }
  second_ = now;
  in_second_ = 0;
}

}  // namespace espgate::recovery
