// From a configuration file to a Configuration, or to everything that is wrong with it.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/config/problem.hpp"

namespace espgate::config {

struct LoadResult {
  std::optional<Configuration> configuration;  // absent when there are errors, or when it was told to stop
  // With errors of content: what was read in spite of them, for no more than looking at the machine.
  std::optional<Configuration> partial;
  std::vector<Problem> errors;  // both in reading order
  std::vector<Problem> warnings;
};

// Reads `file` with all that it includes and the key files that it names. Checks the file in itself;
// whether CPUs, devices and addresses exist is the daemon's to see. A mistake of form (a missing bracket
// or quote) hides mistakes of content, all others are reported at once. Never throws but for memory.
// When `stop` is requested it gives up before long, without a configuration.
LoadResult load(const std::string& file, const std::stop_token& stop = {});

}  // namespace espgate::config
