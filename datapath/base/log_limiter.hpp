// Says the same thing at most once a minute, or a few times, and how often it was left unsaid.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace espgate {

template <typename Topic, std::size_t topics, unsigned per_minute = 1>
class LogLimiter {
 public:
  using Time = std::chrono::nanoseconds;  // steady

  // What is to be written of it now, if anything is: with how many were not before it.
  std::optional<std::string> say(Topic topic, const std::string& text, Time now) {
    auto& entry = entries_[static_cast<std::size_t>(topic)];
    if (entry.said != 0 && now >= entry.since + std::chrono::minutes(1)) entry.said = 0;
    if (entry.said == per_minute) {
      ++entry.unsaid;
      return {};
    }
    if (entry.said++ == 0) entry.since = now;
    const auto unsaid = std::exchange(entry.unsaid, 0);
    return unsaid == 0 ? text : text + " (and " + std::to_string(unsaid) + " times before)";
  }

 private:
  struct Entry {
    Time since{};  // the first of those that were said
    std::uint64_t unsaid = 0;
    unsigned said = 0;
  };
  std::array<Entry, topics> entries_;
};

}  // namespace espgate
