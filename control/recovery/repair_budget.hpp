// How often something is repaired, so that forged packets make nobody busy: so many a second in all, and for
// one peer ever less often while it does not help.
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "datapath/net/address.hpp"

namespace espgate::recovery {

class RepairBudget {
 public:
  using Time = std::chrono::nanoseconds;  // steady
  static constexpr Time first_wait = std::chrono::seconds(1);
  static constexpr Time longest_wait = std::chrono::seconds(64);

  // `peers`: of so many the waits are remembered; while there is no room for another, none is repaired.
  RepairBudget(std::uint32_t per_s, std::size_t peers) : per_s_(per_s), most_peers_(peers) {}

  // Whether it may be tried now, which then counts.
  bool take(const net::Address& peer, Time now);
  std::size_t peers() const { return peers_.size(); }

 private:
  struct Peer {
    Time not_before;
    Time wait;
  };
  void forget_old(Time now);

  std::uint32_t per_s_;
  std::size_t most_peers_;
  std::uint32_t taken_ = 0;
  Time began_ = Time::min() / 2;  // of the current second
  std::unordered_map<net::Address, Peer> peers_;
};

}  // namespace espgate::recovery
