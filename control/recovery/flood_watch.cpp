#include "control/recovery/flood_watch.hpp"

#include <utility>

namespace espgate::recovery {

bool FloodWatch::note_new(Time now) {
  roll(now);
  if (counted_ <= most_) ++counted_;
  if (counted_ > most_ && !began_) {
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
  if (now - counted_from_ < std::chrono::seconds(1)) return;
  if (began_ && counted_ <= most_) {
    over_ = Over{now - *began_, in_flood_};
    began_.reset();
  }
  counted_from_ = now;
  counted_ = 0;
}

}  // namespace espgate::recovery
