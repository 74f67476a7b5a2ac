// What a list of the configuration has that its earlier form had not, and the other way round.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/sa/policy_book.hpp"

namespace espgate::daemon {

// Points into the two lists.
template <typename Item>
struct Difference {
  std::vector<const Item*> added;
  std::vector<const Item*> removed;
  std::vector<std::pair<const Item*, const Item*>> changed;  // before, after
  std::vector<const Item*> kept;                             // as they are in the new list

  nlohmann::json json(const char* what) const {
    return {{"what", what},
            {"added", added.size()},
            {"removed", removed.size()},
            {"changed", changed.size()},
            {"kept", kept.size()}};
  }
};

// Routes and policies are known by their destination `to`, which is unique in a list; `same(a, b)` says
// whether two for one destination are equal altogether.
template <typename Item, typename Same>
Difference<Item> difference(const std::vector<Item>& before, const std::vector<Item>& after, Same same) {
  Difference<Item> result;
  std::unordered_map<net::Prefix, const Item*, sa::PrefixHash> left;
  for (const auto& item : before) left.emplace(item.to, &item);
  for (const auto& item : after) {
    const auto old = left.find(item.to);
    if (old == left.end()) {
      result.added.push_back(&item);
      continue;
    }
    if (same(*old->second, item))
      result.kept.push_back(&item);
    else
      result.changed.emplace_back(old->second, &item);
    left.erase(old);
  }
  for (const auto& item : before)
    if (left.contains(item.to)) result.removed.push_back(&item);
  return result;
}

}  // namespace espgate::daemon
