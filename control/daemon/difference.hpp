// What a list of the configuration has that its earlier form had not, and the other way round.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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

// `key(item)` is a text that names one item of a list; `same(a, b)` says whether two of one name are equal
// altogether.
template <typename Item, typename Key, typename Same>
Difference<Item> difference(const std::vector<Item>& before, const std::vector<Item>& after, Key key,
                            Same same) {
  Difference<Item> result;
  std::unordered_map<std::string, const Item*> left;
  for (const auto& item : before) left.emplace(key(item), &item);
  for (const auto& item : after) {
    const auto old = left.find(key(item));
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
    if (left.contains(key(item))) result.removed.push_back(&item);
  return result;
}

}  // namespace espgate::daemon
