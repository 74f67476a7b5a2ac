// What happened that an operator may want to know afterwards, the newest of it, for `show events`.
#pragma once

#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/stream.hpp"
#include "control/sa/lifetimes.hpp"
#include "control/sa/moment.hpp"

namespace espgate::daemon {

enum class EventKind : std::uint8_t {
  soft_expiry,
  hard_expiry,
  threshold_crossed,
  threshold_cleared,
  port_up,
  port_down,
  port_gone,
  reload,
  reload_failed,
  connection_up,
  connection_down,
};
std::string_view name(EventKind kind);

// One thread. Logging is the caller's.
class Journal {
 public:
  static constexpr std::size_t kept = 1'024;

  // `subject`: a connection, a drop reason, a port, a file. `text`: a sentence on it.
  void add(EventKind kind, std::string subject, std::string text, Moment now);
  void add(const sa::LifetimeNews& news, Moment now);
  // Sends the events at hand, oldest first; with `follow` also those to come, until the client goes.
  void show(bool follow, cli::StreamPtr stream);
  std::uint64_t forgotten() const { return added_ - events_.size(); }

 private:
  struct Event {
    std::uint64_t number;  // from 1
    Moment when;
    EventKind kind;
    std::string subject;
    std::string text;
  };
  static nlohmann::json describe(const Event& event);

  std::uint64_t added_ = 0;
  std::deque<Event> events_;
  std::vector<cli::StreamPtr> followers_;
};

}  // namespace espgate::daemon
