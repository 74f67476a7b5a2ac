// Why a packet goes no further, as its sender is told by ICMP.
#pragma once

#include <cstdint>

namespace espgate::net {

struct Refusal {
  enum class Why : std::uint8_t { too_big, hop_limit, no_route };
  Why why;
  std::uint16_t largest = 0;  // packet that would fit, where this one is too big
};

}  // namespace espgate::net
