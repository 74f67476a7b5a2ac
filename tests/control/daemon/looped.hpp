// An event loop that a test runs for as long as it has to.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>

#include "control/daemon/event_loop.hpp"

namespace espgate::test {

class Looped {
 public:
  Looped() {
    loop.poll("test", [this] {
      if (holds_ && (holds_() || std::chrono::steady_clock::now() > end_)) throw Left{};
      return 0u;
    });
  }

  // Until that holds, which is asked each round, 20 s at most; whether it came to hold.
  bool until(std::function<bool()> holds) {
    holds_ = std::move(holds);
    end_ = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    try {
      loop.run();
    } catch (const Left&) {
    }
    const bool held = holds_();
    holds_ = nullptr;
    return held;
  }

  daemon::EventLoop loop;

 private:
  struct Left {};
  std::function<bool()> holds_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace espgate::test
