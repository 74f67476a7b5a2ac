// One believable answer for every command of the daemon, for the renderers' golden files, and handlers that
// give them, for a daemon without a datapath.
#pragma once

#include <nlohmann/json.hpp>

#include "control/cli/server.hpp"

namespace espgate::test {

// As `--json` prints it: for streams the collected document.
nlohmann::json canned(cli::CommandId id);

// Answer with canned(). `trace show` with "follow" and `capture` without "count" never end by themselves;
// `capture --count N` sends N frames; `show sa --connection nobody` and `show sa --spi 0xffff` are errors.
cli::Handlers canned_handlers();

}  // namespace espgate::test
