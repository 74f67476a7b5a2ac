// Two threads that are to collide.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace espgate::test {

// Keeps two workers close to each other, so that they meet in the same places.
class Pace {
 public:
  static constexpr unsigned worker_count = 2;

  explicit Pace(std::uint64_t most_ahead) : most_ahead_(most_ahead) {}

  // Worker `self` is about to take its packet number `at` (from 0): waits until the other is near.
  void wait(unsigned self, std::uint64_t at) {
    progress_[self].value.store(at, std::memory_order_relaxed);
    for (int spins = 0; at > progress_[1 - self].value.load(std::memory_order_relaxed) + most_ahead_; ++spins)
      if (spins > 2'000) std::this_thread::yield();  // the other has no CPU
  }
  void finish(unsigned self) {
    progress_[self].value.store(~std::uint64_t{0} / 2, std::memory_order_relaxed);
  }

 private:
  std::uint64_t most_ahead_;
  struct alignas(64) Line {
    std::atomic<std::uint64_t> value{0};
  };
  Line progress_[worker_count];
};

}  // namespace espgate::test
