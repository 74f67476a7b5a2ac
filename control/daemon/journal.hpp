// What happened that an operator may want to know, afterwards by `show events`, or at once by `monitor`.
#pragma once

#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/cli/event_kind.hpp"
#include "control/cli/stream.hpp"
#include "control/sa/lifetimes.hpp"
#include "control/sa/moment.hpp"

namespace espgate::daemon {

using cli::EventKind;

// One thread. Logging is the caller's.
class Journal {
 public:
  static constexpr std::size_t kept = 1'024;

  // `subject`: a connection, a drop reason, a port, a file, an address. `text`: a sentence on it. `flow`: of
  // an invalid SPI, as the command table has it.
  void add(EventKind kind, std::string subject, std::string text, Moment now, nlohmann::json flow = nullptr);
  void add(const sa::LifetimeNews& news, Moment now);
  struct Wanted {
    bool at_hand = true;                // those that are kept, oldest first
    bool follow = false;                // then those to come, until the client goes
    std::vector<EventKind> kinds = {};  // empty: all
  };
  void show(const Wanted& wanted, cli::StreamPtr stream);
  // Followers are told that there is nothing more to come.
  void close() { followers_.clear(); }
  std::uint64_t forgotten() const { return added_ - events_.size(); }

 private:
  struct Event {
    std::uint64_t number;  // from 1
    Moment when;
    EventKind kind;
    std::string subject;
    std::string text;
    nlohmann::json flow;
  };
  struct Follower {
    cli::StreamPtr stream;
    std::vector<EventKind> kinds;
  };
  static nlohmann::json describe(const Event& event);
  void forget_closed();

  std::uint64_t added_ = 0;
  std::deque<Event> events_;
  std::vector<Follower> followers_;
};

}  // namespace espgate::daemon
