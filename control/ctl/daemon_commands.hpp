// The commands that the daemon answers.
#pragma once

#include <string>

#include "control/cli/parse.hpp"
#include "control/ctl/output.hpp"

namespace espgate::ctl {

// Asks the daemon at `socket` and prints its answer; returns the exit status.
int run_on_daemon(const std::string& socket, const cli::Invocation& invocation, Output& output);

}  // namespace espgate::ctl
