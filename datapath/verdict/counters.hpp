// One thread's packet counts: the owner adds, anybody reads. No locked instruction: there is one writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "datapath/verdict/verdict.hpp"

namespace espgate {

class Counter {
 public:
  void add(std::uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What a worker (or the control core, for its own part of the host path) took in and what became of it:
//   received + from_host + made = sum of all verdicts, at every loop boundary.
struct alignas(64) PacketCounters {
  Counter received;   // from ports
  Counter from_host;  // from the kernel, through the TAP twins
  Counter made;       // by this thread of others: reassembled packets, fragments
  std::array<Counter, verdict_count> verdicts;

  void count(Verdict verdict, std::uint64_t n = 1) { verdicts[index_of(verdict)].add(n); }
};

}  // namespace espgate
