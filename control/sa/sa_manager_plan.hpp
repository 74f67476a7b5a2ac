// What SaManager works out of a configuration before it touches an SA. For its own files only.
#pragma once

#include "control/sa/sa_manager.hpp"

namespace espgate::sa {

// The new configuration by its keys, and what to do with each connection. The first of several claimants
// wins.
struct SaManager::Plan {
  struct Item {
    ConnectionHandle connection;
    const config::Connection* wanted;
    bool added;
    bool policies_changed;
    bool counts;  // it is one of the configuration's
  };
  std::vector<Item> work;
  std::unordered_map<std::string_view, const config::Connection*> connections;
  std::unordered_map<std::uint32_t, const config::Connection*> spis;
  std::vector<std::pair<Policy*, policy::Decision>> policies;  // of the file's own list
};

// A hundred thousand elements of a map take tens of milliseconds to go.
template <typename Container>
void free_slowly(Container& container, const PolicyBook::Pause& pause) {
  while (!container.empty()) {
    if constexpr (requires { container.pop_back(); })
      container.pop_back();
    else
      container.erase(container.begin());
    pause();
  }
}

}  // namespace espgate::sa
