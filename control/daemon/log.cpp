#include "control/daemon/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace espgate::daemon {

// Under systemd the journal has the time already.
void start_log(const std::string& level) {
  auto logger = spdlog::stderr_logger_st("espgated");
  logger->set_pattern(std::getenv("JOURNAL_STREAM") != nullptr ? "%l: %v" : "%Y-%m-%dT%H:%M:%S.%e %l: %v");
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

void log_line(sa::Severity severity, std::string_view line) {
  spdlog::log(severity == sa::Severity::warning ? spdlog::level::warn : spdlog::level::info, "{}", line);
}

}  // namespace espgate::daemon
