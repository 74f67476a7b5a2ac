// `--help`, as text for a terminal and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "control/cli/command.hpp"

namespace espgate::cli {

// The commands whose words begin with `path`; all of them for an empty path.
std::string help_text(std::span<const std::string> path);
// One command: usage, what it does, parameters, example.
std::string help_text(const Command& command);
// {"commands": [{"command", "usage", "summary", "help", "arguments", "options", "example", "result"}]},
// where "result" is an example of what the command prints with --json.
nlohmann::json help_json(std::span<const std::string> path);

}  // namespace espgate::cli
