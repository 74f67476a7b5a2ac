// The commands that need no daemon, or ask it only for names to complete.
#pragma once

#include "control/cli/parse.hpp"
#include "control/ctl/output.hpp"

namespace espgate::ctl {

// Prints and returns the exit status. `socket`: where names come from unless the completed words name
// another.
int run_here(const std::string& socket, const cli::Invocation& invocation, Output& output);
int show_help(const cli::Invocation& invocation, Output& output);
int show_version(Output& output);

}  // namespace espgate::ctl
