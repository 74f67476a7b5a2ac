// Results as text for people. Pure functions of the JSON; a key that is missing or null (another version of
// the daemon) shows as "-" and never fails.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/cli/command.hpp"

namespace espgate::cli {

// `result`: what the handler returned, or for a stream the collected document. `arguments`: what was asked,
// client-only options included. Ends with a line end.
std::string render(const Command& command, const nlohmann::json& arguments, const nlohmann::json& result,
                   bool color);

// One item of a stream that is shown as it comes (`trace show`, `capture`).
std::string render_item(const Command& command, const nlohmann::json& item, bool color);
// Whether the items of this invocation are shown as they come, not collected into one table.
bool shows_items(const Command& command);

}  // namespace espgate::cli
