// Where the daemon's lines go. Control thread.
#pragma once

#include <spdlog/logger.h>

#include <string>
#include <string_view>

#include "control/sa/surroundings.hpp"

namespace espgate::daemon {

// To stderr, from `level` on, one of the configuration's names.
void start_log(const std::string& level);
void log_line(sa::Severity severity, std::string_view line);

// Lines about IKE, which may have a level of their own.
spdlog::logger& ike_log();
// From here on, of IKE's lines or of all; returns the name of the level before.
enum class LogTopic : std::uint8_t { all, ike };
std::string set_log_level(LogTopic topic, const std::string& level);

}  // namespace espgate::daemon
