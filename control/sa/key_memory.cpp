#include "control/sa/key_memory.hpp"

#include <chrono>

namespace espgate::sa {

LifetimeUsed KeyUse::until(Moment now) const {
  auto result = used;
  result.seconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.steady - began.steady).count());
  return result;
}

void KeyMemory::remember(const Digest& key, const KeyUse& use) {
  if (key == Digest{} || most_ == 0) return;
  const auto [known, is_new] = uses_.try_emplace(key);
  if (is_new)
    known->second.place = order_.insert(order_.end(), key);
  else
    order_.splice(order_.end(), order_, known->second.place);
  known->second.use = use;
  if (order_.size() <= most_) return;
  uses_.erase(order_.front());
  order_.pop_front();
}

std::optional<KeyUse> KeyMemory::recall(const Digest& key) const {
  const auto found = uses_.find(key);
  return found == uses_.end() ? std::nullopt : std::optional(found->second.use);
}

}  // namespace espgate::sa
