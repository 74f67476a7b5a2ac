// IKE messages that found no neighbour to go to: a worker drops what it has no Ethernet address for, and asks
// for one. Right after a start that is the first message of each tunnel, whose next try is a second away;
// here it is sent again as soon as the answer is likely to be there. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "datapath/net/address.hpp"

namespace espgate::daemon {

class LateDatagrams {
 public:
  using Time = std::chrono::nanoseconds;  // steady
  static constexpr std::size_t most = 256;
  static constexpr unsigned tries = 4;  // after 10, 20, 40 and 80 ms
  static constexpr Time first_wait = std::chrono::milliseconds(10);

  // An IP packet was sent there. It is remembered for a moment, if not so many others came since.
  void sent(const net::Address& destination, std::span<const std::uint8_t> packet, Time now);
  // A worker had no neighbour for a packet to that destination.
  void was_unreachable(const net::Address& destination, Time now);
  // Calls `send` with each packet that is due again.
  void send_due(Time now, const std::function<void(std::span<const std::uint8_t>)>& send);

 private:
  static constexpr Time remembered = std::chrono::milliseconds(200);
  static constexpr Time never = Time::max();
  struct Sent {
    net::Address destination;
    std::vector<std::uint8_t> packet;
    Time at;
    Time due = never;
    unsigned tried = 0;
  };
  std::deque<Sent> sent_;  // oldest first
};

}  // namespace espgate::daemon
