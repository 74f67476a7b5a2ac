// The command `reload` and SIGHUP: the file is read beside the event loop, its differences are put into
// force on it, in slices.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "control/daemon/background_load.hpp"
#include "control/daemon/journal.hpp"
#include "control/daemon/reload.hpp"
#include "control/daemon/sliced_work.hpp"

namespace espgate::daemon {

class Reloader {
 public:
  using Done = std::function<void(Expected<nlohmann::json>)>;

  // `catch_up` brings parts.view up to date; the file is read on the spare CPUs. Everything outlives the
  // reloader.
  Reloader(EventLoop& loop, Reloadable parts, Journal& journal, std::function<void()> catch_up,
           Cpus spare = {});

  // Reads parts.current.file and logs what came of it; then calls `done`. With an error in the file nothing
  // changes. Error: a reload is under way.
  Expected<void> start(Done done);

 private:
  Error refusal(const config::LoadResult& loaded);
  void apply(config::Configuration wanted, Done done);
  Expected<nlohmann::json> finish(Reloaded reloaded);

  Reloadable parts_;
  Journal& journal_;
  std::function<void()> catch_up_;
  BackgroundLoad load_;
  SlicedWork work_;
};

}  // namespace espgate::daemon
