// What a command looks for among very much, told once it has looked at all of it.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/cli/stream.hpp"

namespace espgate::daemon {

// `search->look()` looks at a little, false: it has looked at all; then `search->take()` has one after the
// other. Both as the client reads.
template <typename Search>
void stream_found(cli::Stream& stream, std::shared_ptr<Search> search, auto describe,
                  std::function<nlohmann::json()> result) {
  stream.pull(
      [search = std::move(search), describe = std::move(describe),
       looks = true]() mutable -> std::optional<nlohmann::json> {
        looks = looks && search->look();
        if (looks) return nlohmann::json();
        auto found = search->take();
        return found ? std::optional(describe(*std::move(found))) : std::nullopt;
      },
      std::move(result));
}

}  // namespace espgate::daemon
