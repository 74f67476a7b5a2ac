// Decides which neighbours the kernel is asked to resolve, and how often.
//
// Traffic can name any address of a connected network, so requests are limited per neighbour and in all;
// what is above a limit is counted and dropped, and the next packet asks again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>

#include "datapath/base/expected.hpp"
#include "drivers/host/kernel_values.hpp"

namespace espgate::host {

// Control thread only.
class NeighbourRequests {
 public:
  using Clock = std::chrono::steady_clock;
  using Ask = std::function<Expected<void>(int ifindex, const net::Address& address)>;

  static constexpr auto per_neighbour_interval = std::chrono::seconds(1);
  static constexpr std::uint32_t per_second = 500;
  static constexpr std::size_t remembered = 8'192;  // neighbours whose last request is known

  explicit NeighbourRequests(Ask ask) : ask_(std::move(ask)) {}

  // Asks, unless this neighbour was asked for within `interval` or a limit is reached. The error is the
  // kernel's refusal.
  Expected<void> request(const NeighbourKey& neighbour, Clock::duration interval, Clock::time_point now);
  // Forgets old requests. Call about once a second.
  void forget_before(Clock::time_point oldest);

  std::uint64_t asked() const { return asked_; }
  std::uint64_t suppressed() const { return suppressed_; }  // by the limit in all; not per neighbour

 private:
  Ask ask_;
  std::map<NeighbourKey, Clock::time_point, NeighbourOrder> last_;
  Clock::time_point second_start_{};
  std::uint32_t this_second_ = 0;
  std::uint64_t asked_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace espgate::host
