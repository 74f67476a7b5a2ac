// Numbers of equal things that workers read without a lock: taken, given back, and not given out again before
// every worker has let go of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace espgate::forward {

// Waits until every worker has been quiescent since the call, so that nobody still reads what was
// unlinked before it. Given by the daemon (RCU); a test without workers passes an empty function.
using WaitForReaders = void (*)(void* context);

struct ReaderBarrier {
  WaitForReaders wait = nullptr;
  void* context = nullptr;

  void operator()() const {
    if (wait != nullptr) wait(context);
  }
};

// Control thread only. One wait serves everything given back since the last, and happens when nothing else is
// left to give out, so taking a hundred thousand routes away costs at most one.
class IndexPool {
 public:
  // Hands out first ... first + size - 1, the lowest first.
  IndexPool(std::uint32_t first, std::uint32_t size, ReaderBarrier barrier) : barrier_(barrier) {
    free_.reserve(size);
    retired_.reserve(size);
    for (std::uint32_t i = size; i > 0; --i) free_.push_back(first + i - 1);
  }

  std::size_t available() const { return free_.size() + retired_.size(); }

  // Nothing when all are taken.
  std::optional<std::uint32_t> take() {
    if (free_.empty() && !retired_.empty()) {
      barrier_();
      free_.swap(retired_);
    }
    if (free_.empty()) return std::nullopt;
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }

  // The caller has unlinked it: no worker finds it any more, but some may have found it before.
  void retire(std::uint32_t index) { retired_.push_back(index); }

 private:
  ReaderBarrier barrier_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> retired_;
};

}  // namespace espgate::forward
