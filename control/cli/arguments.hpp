// A command's arguments as JSON, checked against the table: the client does so before it sends them, the
// daemon before a handler sees them.
#pragma once

#include <nlohmann/json.hpp>

#include "control/cli/command.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::cli {

// The object with every value in its canonical form (ValueKind). Numbers and SPIs may be given as
// strings. Errors: an unknown name, a wrong type or range, a missing argument, options that exclude
// each other; remedies show the usage.
Expected<nlohmann::json> check_arguments(const Command& command, const nlohmann::json& raw);

// Without the parameters that concern only the client.
nlohmann::json for_daemon(const Command& command, const nlohmann::json& arguments);

}  // namespace espgate::cli
