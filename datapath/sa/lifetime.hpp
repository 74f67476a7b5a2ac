// How long an SA may be used (RFC 4301 4.4.2.1): after so many packets, bytes or seconds its owner is told
// (soft), and after some more nothing passes (hard). What fails on its way, replays included, uses nothing
// up.
#pragma once

#include <atomic>
#include <cstdint>

namespace espgate::sa {

// Of one SA, as configured; 0 is no limit. Bytes are those of inner packets, as in Usage.
struct Lifetime {
  std::uint64_t soft_packets = 0;
  std::uint64_t hard_packets = 0;
  std::uint64_t soft_bytes = 0;
  std::uint64_t hard_bytes = 0;
  std::uint64_t soft_seconds = 0;
  std::uint64_t hard_seconds = 0;

  bool operator==(const Lifetime&) const = default;
  bool limits_anything() const { return *this != Lifetime{}; }
};

// What was used of it under the same key before the SA was installed.
struct LifetimeUsed {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t seconds = 0;
};

enum class LifetimeStage : std::uint8_t { running, soft, hard };

// What one SA has used of its lifetime, by all workers together. One for each SA, read only where the SA says
// that it has a lifetime.
struct alignas(64) Allowance {
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

  // Sums of what was claimed; what was refused is in them too.
  std::atomic<std::uint64_t> packets;
  std::atomic<std::uint64_t> bytes;
  std::uint64_t soft_packets;
  std::uint64_t hard_packets;
  std::uint64_t soft_bytes;
  std::uint64_t hard_bytes;
  std::uint64_t hard_tsc;                 // seconds are over at this reading of the TSC
  std::atomic<LifetimeStage> stage_told;  // what control was told, or found out by itself

  // For one good packet: `hard` refuses it, and refuses every packet after it, since both sums only grow. Of
  // several workers each gets its own place in the order of each sum, so exactly as many pass as may.
  // `exclusive`: there is one worker, and no locked instruction is needed.
  LifetimeStage claim(std::uint64_t packet_bytes, std::uint64_t now_tsc, bool exclusive) {
    const auto add = [exclusive](std::atomic<std::uint64_t>& sum, std::uint64_t n) {
      if (!exclusive) return sum.fetch_add(n, std::memory_order_relaxed) + n;
      const auto result = sum.load(std::memory_order_relaxed) + n;
      sum.store(result, std::memory_order_relaxed);
      return result;
    };
    const auto nth = add(packets, 1);
    const auto total = add(bytes, packet_bytes);
    if (nth > hard_packets || total > hard_bytes || now_tsc >= hard_tsc) return LifetimeStage::hard;
    return nth >= soft_packets || total >= soft_bytes ? LifetimeStage::soft : LifetimeStage::running;
  }
  // True for the first who finds that the SA came so far: it is the one to tell.
  bool first_at(LifetimeStage stage) {
    auto told = stage_told.load(std::memory_order_relaxed);
    while (told < stage)
      if (stage_told.compare_exchange_weak(told, stage, std::memory_order_relaxed)) return true;
    return false;
  }
};
static_assert(sizeof(Allowance) == 64);

// From a worker to control: an SA came to a stage of its lifetime.
struct LifetimeReached {
  std::uint32_t index;  // in the store
  std::uint32_t spi;
  bool inbound;
  LifetimeStage stage;
  std::uint8_t unused[6];
};
static_assert(sizeof(LifetimeReached) == 16);

}  // namespace espgate::sa
