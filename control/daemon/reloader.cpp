#include "control/daemon/reloader.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

Reloader::Reloader(EventLoop& loop, Reloadable parts, Journal& journal, std::function<void()> catch_up)
    : parts_(parts), journal_(journal), catch_up_(std::move(catch_up)), load_(loop) {}

Expected<void> Reloader::start(Done done) {
  if (load_.running())
    return Error{"a reload is under way", "wait until it has ended, then reload again if the file changed"};
  load_.start(parts_.current.file,
              [this, done = std::move(done)](config::LoadResult loaded) { done(finish(std::move(loaded))); });
  return {};
}

Expected<nlohmann::json> Reloader::finish(config::LoadResult loaded) {
  const auto& file = parts_.current.file;
  for (const auto& warning : loaded.warnings) spdlog::warn("{}", warning.text());
  if (!loaded.configuration) {
    for (const auto& error : loaded.errors) spdlog::error("{}", error.text());
    spdlog::error("configuration not reloaded: nothing was changed");
    journal_.add(EventKind::reload_failed, file, loaded.errors.front().text(), now());
    return Error{
        fmt::format("{}{}; nothing was changed", loaded.errors.front().text(),
                    loaded.errors.size() > 1 ? fmt::format(" (the first of {} errors)", loaded.errors.size())
                                             : std::string()),
        fmt::format("`espgated --check {}` shows what is wrong", file)};
  }
  catch_up_();
  auto reloaded = put_in_force(std::move(*loaded.configuration), parts_, now());
  for (const auto& problem : reloaded.problems) spdlog::error("{}", problem);
  journal_.add(EventKind::reload, file,
               reloaded.problems.empty() ? "all of it is in force"
                                         : fmt::format("in force, but for: {}", reloaded.problems.front()),
               now());
  spdlog::info("configuration reloaded{}", reloaded.problems.empty() ? "" : ", but for the errors above");
  return answer(std::move(reloaded));
}

}  // namespace espgate::daemon
