// Turns a worker's time stamps, which are TSC readings, into wall time.
#pragma once

#include <rte_cycles.h>

#include <chrono>
#include <cstdint>

namespace espgate::daemon {

inline std::chrono::system_clock::time_point wall_time(std::uint64_t tsc, std::uint64_t tsc_hz) {
  const auto age_s = static_cast<double>(rte_rdtsc() - tsc) / static_cast<double>(tsc_hz);
  return std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(
                                                std::chrono::duration<double>(age_s));
}

}  // namespace espgate::daemon
