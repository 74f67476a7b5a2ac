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
  if (!uses_.insert_or_assign(key, use).second) return;
  order_.push_back(key);
  if (order_.size() <= most_) return;
  uses_.erase(order_.front());
  order_.pop_front();
}

std::optional<KeyUse> KeyMemory::recall(const Digest& key) const {
  const auto found = uses_.find(key);
  return found == uses_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace espgate::sa
