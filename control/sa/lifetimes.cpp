#include "control/sa/lifetimes.hpp"

#include <algorithm>

namespace espgate::sa {
namespace {

// Further away than any machine runs, and far from the end of what nanoseconds can count.
constexpr std::uint64_t most_seconds = std::uint64_t{100} * 365 * 86'400;

std::chrono::seconds seconds(std::uint64_t count) {
  return std::chrono::seconds(static_cast<std::int64_t>(std::min(count, most_seconds)));
}

template <typename Visit>
void for_each_stage(const SaName& sa, const Lifetime& lifetime, Moment began, Visit visit) {
  using Due = Lifetimes::Due;
  if (lifetime.soft_seconds != 0)
    visit(Due{began.steady + seconds(lifetime.soft_seconds), sa, LifetimeStage::soft});
  if (lifetime.hard_seconds != 0)
    visit(Due{began.steady + seconds(lifetime.hard_seconds), sa, LifetimeStage::hard});
}

}  // namespace

Moment began(const SaParameters& parameters, Moment now) {
  const auto age = seconds(parameters.used.seconds);
  return {now.steady - age, now.wall - age};
}

void Lifetimes::watch(const SaName& sa, const Lifetime& lifetime, Moment began) {
  for_each_stage(sa, lifetime, began, [this](const Due& due) { due_.insert(due); });
}

void Lifetimes::forget(const SaName& sa, const Lifetime& lifetime, Moment began) {
  for_each_stage(sa, lifetime, began, [this](const Due& due) { due_.erase(due); });
}

std::optional<Lifetimes::Due> Lifetimes::take_due(Moment now) {
  if (due_.empty() || due_.begin()->at > now.steady) return std::nullopt;
  const auto due = *due_.begin();
  due_.erase(due_.begin());
  return due;
}

}  // namespace espgate::sa
