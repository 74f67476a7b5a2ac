// The kinds of events that the daemon tells of, by the names that operators know.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace espgate::cli {

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
  connection_failed,
  invalid_spi,
  invalid_spi_flood,
  invalid_spi_flood_over,
};

// In the order of the kinds.
inline constexpr std::array<std::string_view, 15> event_kind_names{
    "soft-expiry",
    "hard-expiry",
    "threshold-crossed",
    "threshold-cleared",
    "port-up",
    "port-down",
    "port-gone",
    "reload",
    "reload-failed",
    "connection-up",
    "connection-down",
    "connection-failed",
    "invalid-spi",
    "invalid-spi-flood",
    "invalid-spi-flood-over",
};
static_assert(event_kind_names.size() == static_cast<std::size_t>(EventKind::invalid_spi_flood_over) + 1);

inline std::string_view name(EventKind kind) {
  return event_kind_names[static_cast<std::size_t>(kind)];
}
inline std::optional<EventKind> find_event_kind(std::string_view name) {
  const auto found = std::ranges::find(event_kind_names, name);
  if (found == event_kind_names.end()) return std::nullopt;
  return static_cast<EventKind>(found - event_kind_names.begin());
}

}  // namespace espgate::cli
