#include "control/recovery/flood_watch.hpp"

#include <utility>

namespace espgate::recovery {

bool FloodWatch::note_new(Time now) {
  roll(now);
  if (!flows_.take(now) && !began_) {
    began_ = now;
    in_flood_ = 0;
  }
  if (began_) ++in_flood_;
  return began_.has_value();
}

std::optional<FloodWatch::Over> FloodWatch::tick(Time now) {
  roll(now);
  return std::exchange(over_, std::nullopt);
}

void FloodWatch::roll(Time now) {
  if (!flows_.is_over(now)) return;
  if (began_ && !flows_.is_exceeded()) {
    over_ = Over{now - *began_, in_flood_};
    began_.reset();
  }
  flows_.begin_if_over(now);
}

}  // namespace espgate::recovery
