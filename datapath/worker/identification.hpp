// Identifications of the packets that we are the source of: outer IPv4 packets that may be fragmented on
// their way, and IPv6 packets that we cut (RFC 791 3.2, RFC 8200 4.5).
//
// Two of them with the same addresses must not have the same one while a receiver may hold parts of both
// (RFC 6864 4.3), whatever SAs they belong to. So one counter serves all packets between two addresses, and
// each worker has a part of the numbers to itself. At more than 65,536 packets in that time none is left that
// is unused, which no IPv4 sender can help (RFC 4963); packets with DF set need none (RFC 6864 4.1).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace espgate::worker {

// One worker's.
class Identifications {
 public:
  // Worker `worker` of `workers`; `start` is where counting begins, anything that is hard to guess.
  Identifications(unsigned worker, unsigned workers, std::uint64_t start)
      : first4_(static_cast<std::uint16_t>((std::uint64_t{1} << 16) * worker / workers)),
        count4_(static_cast<std::uint16_t>((std::uint64_t{1} << 16) / workers - 1)),
        first6_(static_cast<std::uint32_t>((std::uint64_t{1} << 32) * worker / workers)),
        count6_(static_cast<std::uint32_t>((std::uint64_t{1} << 32) / workers - 1)),
        next6_(static_cast<std::uint32_t>(start % (std::uint64_t{count6_} + 1))) {
    for (auto& next : next4_) {
      start = start * 0x5851'f42d'4c95'7f2d + 1;
      next = static_cast<std::uint16_t>((start >> 32) % (std::uint64_t{count4_} + 1));
    }
  }

  // For a packet with these source and destination addresses, eight bytes as in the header. Pairs of
  // addresses may share a counter.
  std::uint16_t next4(const std::uint8_t* addresses) {
    std::uint64_t pair;
    std::memcpy(&pair, addresses, sizeof pair);
    auto& next = next4_[(pair * 0x9e37'79b9'7f4a'7c15) >> (64 - counters_log2)];
    const auto taken = next;
    next = taken == count4_ ? std::uint16_t{0} : static_cast<std::uint16_t>(taken + 1);
    return static_cast<std::uint16_t>(first4_ + taken);
  }
  std::uint32_t next6() {
    const auto taken = next6_;
    next6_ = taken == count6_ ? 0 : taken + 1;
    return first6_ + taken;
  }

 private:
  static constexpr unsigned counters_log2 = 10;

  std::uint16_t first4_, count4_;  // of this worker's numbers; how many, less one
  std::uint32_t first6_, count6_;
  std::uint32_t next6_;  // offsets from the first
  std::array<std::uint16_t, 1 << counters_log2> next4_{};
};

}  // namespace espgate::worker
