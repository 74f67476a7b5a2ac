// Parts of the schema that have files of their own, and what these share. Not for users of the schema.
#pragma once

#include "control/config/schema.hpp"

namespace espgate::config {

extern const Group ike_group;
extern const Group inbound_group;
extern const Group outbound_group;
extern const Group lifetime_group;
extern const Group limits_group;
extern const Group port_group;
extern const Group route_group;
extern const Group policy_group;
extern const Group selector_group;
extern const Group tunnel_group;
extern const Group tunnel_peer_group;
extern const Group threshold_group;

inline constexpr long long any_length = 4'096;  // of a text, in characters

// Connections and policies are searched together.
constexpr Key priority_key(std::string_view preset, std::string_view meaning) {
  return {.name = "priority",
          .kind = Kind::integer,
          .least = 0,
          .most = 65'000,
          .preset = preset,
          .meaning = meaning};
}

}  // namespace espgate::config
