// A packet that says nothing (RFC 4303 2.6), for the datapath to encrypt: whoever watches the tunnel cannot
// tell it from others, and the peer drops it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "datapath/net/traffic_selector.hpp"

namespace espgate::sa {

// An IP packet for which a policy of this selector is: its header makes the datapath find the SA.
class DummyPacket {
 public:
  static constexpr std::size_t least_bytes = 64;
  static constexpr std::size_t most_bytes = 1'024;

  // `bytes`: of the whole packet, within these.
  DummyPacket(const net::TrafficSelector& selector, std::size_t bytes);
  std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(size_); }

 private:
  std::array<std::uint8_t, most_bytes> bytes_{};
  std::size_t size_;
};

}  // namespace espgate::sa
