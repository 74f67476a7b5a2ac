// Says the same thing at most once a minute, and how often it was left unsaid.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace espgate::host {

template <typename Topic, std::size_t topics>
class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LogLimiter(std::function<void(std::string)> log) : log_(std::move(log)) {}

  void say(Topic topic, const std::string& text, Clock::time_point now) {
    auto& entry = entries_[static_cast<std::size_t>(topic)];
    if (entry.next && now < *entry.next) {
      ++entry.unsaid;
      return;
    }
    if (log_)
      log_(entry.unsaid == 0 ? text : text + " (and " + std::to_string(entry.unsaid) + " times before)");
    entry = {now + std::chrono::minutes(1), 0};
  }

 private:
  struct Entry {
    std::optional<Clock::time_point> next;
    std::uint64_t unsaid = 0;
  };
  std::function<void(std::string)> log_;
  std::array<Entry, topics> entries_;
};

}  // namespace espgate::host
