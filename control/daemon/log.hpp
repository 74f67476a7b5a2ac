// Where the daemon's lines go. Control thread.
#pragma once

#include <string>
#include <string_view>

#include "control/sa/surroundings.hpp"

namespace espgate::daemon {

// To stderr, from `level` on, one of the configuration's names.
void start_log(const std::string& level);
void log_line(sa::Severity severity, std::string_view line);

}  // namespace espgate::daemon
