#include "control/daemon/reloader.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

// What else the loop does, packets to the kernel above all, waits so long at most, and for a little of what
// cannot be interrupted.
constexpr std::chrono::microseconds slice{100};

}  // namespace

Reloader::Reloader(EventLoop& loop, Reloadable parts, Journal& journal, std::function<void()> catch_up,
                   Cpus spare)
    : parts_(parts),
      journal_(journal),
      catch_up_(std::move(catch_up)),
      load_(loop, std::move(spare)),
      work_(loop, slice) {}

Expected<void> Reloader::start(Done done) {
  if (load_.running() || work_.running())
    return Error{"a reload is under way", "wait until it has ended, then reload again if the file changed"};
  load_.start(parts_.current.file, [this, done = std::move(done)](config::LoadResult loaded) {
    for (const auto& warning : loaded.warnings) spdlog::warn("{}", warning.text());
    if (!loaded.configuration)
      done(refusal(loaded));
    else
      apply(std::move(*loaded.configuration), done);
  });
  return {};
}

Error Reloader::refusal(const config::LoadResult& loaded) {
  const auto& file = parts_.current.file;
  for (const auto& error : loaded.errors) spdlog::error("{}", error.text());
  spdlog::error("configuration not reloaded: nothing was changed");
  journal_.add(EventKind::reload_failed, file, loaded.errors.front().text(), now());
  return {
      fmt::format("{}{}; nothing was changed", loaded.errors.front().text(),
                  loaded.errors.size() > 1 ? fmt::format(" (the first of {} errors)", loaded.errors.size())
                                           : std::string()),
      fmt::format("`espgated --check {}` shows what is wrong", file)};
}

void Reloader::apply(config::Configuration wanted, Done done) {
  catch_up_();
  const auto reloaded = std::make_shared<Reloaded>();
  // Only the work holds the configuration, which it swaps for the one before.
  work_.start([this, reloaded, held = std::make_shared<config::Configuration>(std::move(wanted))](
                  const SlicedWork::Pause& pause) { *reloaded = put_in_force(*held, parts_, now(), pause); },
              [this, reloaded, done = std::move(done)] { done(finish(std::move(*reloaded))); });
}

Expected<nlohmann::json> Reloader::finish(Reloaded reloaded) {
  for (const auto& problem : reloaded.problems) spdlog::error("{}", problem);
  journal_.add(EventKind::reload, parts_.current.file,
               reloaded.problems.empty() ? "all of it is in force"
                                         : fmt::format("in force, but for: {}", reloaded.problems.front()),
               now());
  spdlog::info("configuration reloaded{}", reloaded.problems.empty() ? "" : ", but for the errors above");
  return answer(std::move(reloaded));
}

}  // namespace espgate::daemon
