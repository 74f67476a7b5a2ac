#include "control/daemon/journal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/cli/values.hpp"

namespace espgate::daemon {

namespace {

bool is_wanted(const std::vector<EventKind>& kinds, EventKind kind) {
  return kinds.empty() || std::ranges::find(kinds, kind) != kinds.end();
}

}  // namespace

void Journal::add(EventKind kind, std::string subject, std::string text, Moment now, nlohmann::json flow) {
  if (events_.size() == kept) events_.pop_front();
  events_.push_back({++added_, now, kind, std::move(subject), std::move(text), std::move(flow)});
  forget_closed();
  if (followers_.empty()) return;
  const auto item = describe(events_.back());
  for (const auto& follower : followers_)
    if (is_wanted(follower.kinds, kind)) follower.stream->push(item);
}

void Journal::forget_closed() {
  std::erase_if(followers_, [](const auto& follower) { return !follower.stream->open(); });
}

void Journal::add(const sa::LifetimeNews& news, Moment now) {
  const bool hard = news.stage == sa::LifetimeStage::hard;
  add(hard ? EventKind::hard_expiry : EventKind::soft_expiry, std::string(news.connection),
      fmt::format("{} SA {} {}", news.direction == sa::Direction::inbound ? "inbound" : "outbound",
                  cli::spi_text(news.spi),
                  hard ? "is past its hard lifetime and drops" : "is past its soft lifetime"),
      now);
}

void Journal::show(const Wanted& wanted, cli::StreamPtr stream) {
  if (wanted.follow) {
    for (const auto& event : events_)
      if (wanted.at_hand && is_wanted(wanted.kinds, event.kind)) stream->push(describe(event));
    forget_closed();
    followers_.push_back({std::move(stream), wanted.kinds});
    return;
  }
  // As fast as the client reads, and what comes meanwhile is not in it.
  stream->pull(
      [copy = events_, next = std::size_t{0},
       kinds = wanted.kinds]() mutable -> std::optional<nlohmann::json> {
        if (next == copy.size()) return std::nullopt;
        const auto& event = copy[next++];
        return is_wanted(kinds, event.kind) ? describe(event) : nlohmann::json();
      },
      [gone = forgotten()] {
        return nlohmann::json{{"forgotten", gone}};
      });
}

nlohmann::json Journal::describe(const Event& event) {
  return {{"number", event.number},    {"time", cli::time_text(event.when.wall, 3)},
          {"event", name(event.kind)}, {"subject", event.subject},
          {"text", event.text},        {"flow", event.flow}};
}

}  // namespace espgate::daemon
