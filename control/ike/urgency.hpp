// What public-key work is for, the more urgent first.
#pragma once

#include <cstdint>

namespace espgate::ike {

enum class Urgency : std::uint8_t {
  established,  // an IKE SA that is up
  beginning,    // one that we begin
  newcomer,     // one that a stranger begins
};
inline constexpr std::size_t urgency_count = 3;

}  // namespace espgate::ike
