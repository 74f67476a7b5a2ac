#include "control/daemon/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace espgate::daemon {
namespace {

std::shared_ptr<spdlog::logger> ike_logger;

std::string level_name(spdlog::level::level_enum level) {
  const auto name = spdlog::level::to_string_view(level);
  return {name.data(), name.size()};
}

}  // namespace

// Under systemd the journal has the time already.
void start_log(const std::string& level) {
  auto logger = spdlog::stderr_logger_st("espgated");
  logger->set_pattern(std::getenv("JOURNAL_STREAM") != nullptr ? "%l: %v" : "%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  logger->set_level(spdlog::level::from_str(level));
  ike_logger = logger->clone("ike");
  spdlog::set_default_logger(std::move(logger));
}

void log_line(sa::Severity severity, std::string_view line) {
  spdlog::log(severity == sa::Severity::warning ? spdlog::level::warn : spdlog::level::info, "{}", line);
}

spdlog::logger& ike_log() {
  return ike_logger ? *ike_logger : *spdlog::default_logger_raw();
}

std::string set_log_level(LogTopic topic, const std::string& level) {
  auto& logger = topic == LogTopic::ike ? ike_log() : *spdlog::default_logger_raw();
  const auto before = level_name(logger.level());
  if (topic == LogTopic::all) spdlog::default_logger_raw()->set_level(spdlog::level::from_str(level));
  ike_log().set_level(spdlog::level::from_str(level));
  return before;
}

}  // namespace espgate::daemon
