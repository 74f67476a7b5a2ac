// The parts of the command table; command.cpp joins them.
#pragma once

#include <span>

#include "control/cli/command.hpp"

namespace espgate::cli {

std::span<const Command> show_rows();
std::span<const Command> forwarding_rows();
std::span<const Command> ike_rows();
std::span<const Command> action_rows();
std::span<const Command> client_rows();

}  // namespace espgate::cli
