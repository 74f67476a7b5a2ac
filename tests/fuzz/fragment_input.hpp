// The fragment fuzzer's input: a sequence of fragments, of eight bytes each.
//
//   0     which datagram: two bits of identification, then: IPv6, more fragments, other content, in two
//         segments, a hop-by-hop header (IPv6), a mark of congestion
//   1-2   offset in units of eight bytes
//   3-4   payload bytes, of which at most `most_payload` count
//   5     time since the one before, in units of which `timeout` are a datagram's whole time
//   6-7   a byte of the frame, and what is xored into it; its checksum is mended
#pragma once

#include <cstddef>
#include <cstdint>

namespace espgate::test {

struct FragmentInput {
  static constexpr std::size_t bytes = 8;
  static constexpr std::uint16_t most_payload = 8'000;
  static constexpr std::uint64_t timeout = 64;
  enum Bit : std::uint8_t { v6 = 4, more = 8, other = 16, split = 32, options = 64, congested = 128 };

  std::uint8_t flags;
  std::uint16_t unit;
  std::uint16_t payload_bytes;
  std::uint8_t pause;
  std::uint8_t damage_at, damage;

  static FragmentInput read(const std::uint8_t* from) {
    const auto word = [&](std::size_t at) {
      return static_cast<std::uint16_t>(from[at] << 8 | from[at + 1]);
    };
    return {from[0], word(1), word(3), from[5], from[6], from[7]};
  }
  void write(std::uint8_t* to) const {
    const std::uint8_t all[bytes] = {flags,
                                     static_cast<std::uint8_t>(unit >> 8),
                                     static_cast<std::uint8_t>(unit),
                                     static_cast<std::uint8_t>(payload_bytes >> 8),
                                     static_cast<std::uint8_t>(payload_bytes),
                                     pause,
                                     damage_at,
                                     damage};
    for (std::size_t i = 0; i < bytes; ++i) to[i] = all[i];
  }
};

}  // namespace espgate::test
