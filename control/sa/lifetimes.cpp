#include "control/sa/lifetimes.hpp"

#include <algorithm>

namespace espgate::sa {
namespace {

// Further away than any machine runs, and far from the end of what nanoseconds can count.
constexpr std::uint64_t most_seconds = std::uint64_t{100} * 365 * 86'400;

std::chrono::seconds seconds(std::uint64_t count) {
  return std::chrono::seconds(static_cast<std::int64_t>(std::min(count, most_seconds)));
}

}  // namespace

Moment began(const SaParameters& parameters, Moment now) {
  const auto age = seconds(parameters.used.seconds);
  return {now.steady - age, now.wall - age};
}

void Lifetimes::watch(const SaName& sa, const Lifetime& lifetime, Moment began) {
  if (lifetime.soft_seconds != 0)
    due_.emplace(began.steady + seconds(lifetime.soft_seconds), Due{sa, LifetimeStage::soft});
  if (lifetime.hard_seconds != 0)
    due_.emplace(began.steady + seconds(lifetime.hard_seconds), Due{sa, LifetimeStage::hard});
}

std::optional<Lifetimes::Due> Lifetimes::take_due(Moment now) {
  if (due_.empty() || due_.begin()->first > now.steady) return std::nullopt;
  const auto due = due_.begin()->second;
  due_.erase(due_.begin());
  return due;
}

}  // namespace espgate::sa
