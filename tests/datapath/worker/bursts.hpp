// Bursts of good packets of different sizes, both ways, for tests that spoil something around them.
#pragma once

#include <vector>

#include "tests/datapath/worker/rig.hpp"

namespace espgate::test {

inline constexpr unsigned burst_size = 16;

inline std::vector<Bytes> arriving(const Rig& rig, std::uint64_t first) {
  std::vector<Bytes> frames;
  for (std::uint64_t i = 0; i < burst_size; ++i)
    frames.push_back(rig.esp_frame(first + i, rig.inner(net::Family::v4, 40 + i, true), net::protocol_ipv4));
  return frames;
}
inline std::vector<Bytes> leaving(const Rig& rig) {
  std::vector<Bytes> frames;
  for (std::uint64_t i = 0; i < burst_size; ++i)
    frames.push_back(rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 40 + i, false)));
  return frames;
}

}  // namespace espgate::test
