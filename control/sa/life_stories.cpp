#include "control/sa/life_stories.hpp"

namespace espgate::sa {

std::string_view name(Reason reason) {
  switch (reason) {
    case Reason::deleted:
      return "deleted";
    case Reason::expired:
      return "expired";
    case Reason::rekeyed:
      return "rekeyed";
  }
  return {};
}

std::string_view name(Happening happening) {
  switch (happening) {
    case Happening::reserved:
      return "reserved";
    case Happening::installed:
      return "installed";
    case Happening::soft_expired:
      return "past its soft lifetime";
    case Happening::hard_expired:
      return "past its hard lifetime";
    case Happening::rekeyed:
      return "rekeyed";
    case Happening::retired_deleted:
      return "retired: deleted";
    case Happening::retired_expired:
      return "retired: expired";
    case Happening::retired_rekeyed:
      return "retired: rekeyed";
    case Happening::tombstone_expired:
      return "tombstone expired";
    case Happening::tombstone_dropped:
      return "tombstone dropped";
    case Happening::replaced:
      return "replaced by a new SA with the same SPI";
    case Happening::withdrawn:
      return "withdrawn, no SA was installed";
  }
  return {};
}

void LifeStories::begin(std::uint32_t spi, const ConnectionHandle& connection, Moment now) {
  auto& story = stories_[spi];
  story.connection = connection;
  story.ended = 0;
  note(spi, {now, Happening::reserved});
}

void LifeStories::note(std::uint32_t spi, LifeEvent event) {
  const auto found = stories_.find(spi);
  if (found == stories_.end()) return;
  auto& events = found->second.events;
  if (events.size() == events_max) events.erase(events.begin());
  events.push_back(event);
}

void LifeStories::end(std::uint32_t spi) {
  const auto found = stories_.find(spi);
  if (found == stories_.end()) return;
  found->second.ended = next_ticket_;
  ended_.push_back({spi, next_ticket_++});
  if (ended_.size() <= ended_max_) return;
  const auto oldest = stories_.find(ended_.front().spi);
  if (oldest != stories_.end() && oldest->second.ended == ended_.front().ticket) stories_.erase(oldest);
  ended_.pop_front();
}

const LifeStory* LifeStories::find(std::uint32_t spi) const {
  const auto found = stories_.find(spi);
  return found == stories_.end() ? nullptr : &found->second;
}

}  // namespace espgate::sa
