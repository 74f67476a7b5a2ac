#include "control/daemon/journal.hpp"

#include <fmt/format.h>

#include "control/cli/values.hpp"

namespace espgate::daemon {

std::string_view name(EventKind kind) {
  switch (kind) {
    case EventKind::soft_expiry:
      return "soft-expiry";
    case EventKind::hard_expiry:
      return "hard-expiry";
    case EventKind::threshold_crossed:
      return "threshold-crossed";
    case EventKind::threshold_cleared:
      return "threshold-cleared";
    case EventKind::port_up:
      return "port-up";
    case EventKind::port_down:
      return "port-down";
    case EventKind::port_gone:
      return "port-gone";
    case EventKind::reload:
      return "reload";
    case EventKind::reload_failed:
      return "reload-failed";
    case EventKind::connection_up:
      return "connection-up";
    case EventKind::connection_down:
      return "connection-down";
  }
  return {};
}

void Journal::add(EventKind kind, std::string subject, std::string text, Moment now) {
  if (events_.size() == kept) events_.pop_front();
  events_.push_back({++added_, now, kind, std::move(subject), std::move(text)});
  std::erase_if(followers_, [](const auto& follower) { return !follower->open(); });
  if (followers_.empty()) return;
  const auto item = describe(events_.back());
  for (const auto& follower : followers_) follower->push(item);
}

void Journal::add(const sa::LifetimeNews& news, Moment now) {
  const bool hard = news.stage == sa::LifetimeStage::hard;
  add(hard ? EventKind::hard_expiry : EventKind::soft_expiry, std::string(news.connection),
      fmt::format("{} SA {} {}", news.direction == sa::Direction::inbound ? "inbound" : "outbound",
                  cli::spi_text(news.spi),
                  hard ? "is past its hard lifetime and drops" : "is past its soft lifetime"),
      now);
}

void Journal::show(bool follow, cli::StreamPtr stream) {
  if (follow) {
    for (const auto& event : events_) stream->push(describe(event));
    std::erase_if(followers_, [](const auto& follower) { return !follower->open(); });
    followers_.push_back(std::move(stream));
    return;
  }
  // As fast as the client reads, and what comes meanwhile is not in it.
  stream->pull(
      [copy = events_, next = std::size_t{0}]() mutable -> std::optional<nlohmann::json> {
        if (next == copy.size()) return std::nullopt;
        return describe(copy[next++]);
      },
      [gone = forgotten()] {
        return nlohmann::json{{"forgotten", gone}};
      });
}

nlohmann::json Journal::describe(const Event& event) {
  return {{"number", event.number},
          {"time", cli::time_text(event.when.wall, 3)},
          {"event", name(event.kind)},
          {"subject", event.subject},
          {"text", event.text}};
}

}  // namespace espgate::daemon
