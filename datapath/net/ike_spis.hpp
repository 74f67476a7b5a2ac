// SPIs of our own IKE SAs: half of each is a mark that nobody without the key can make. So a worker tells an
// IKE message to one of our IKE SAs from what was made up, without a table; who saw one of them may use it
// again, so no single one gets much.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/net/bytes.hpp"
#include "datapath/net/siphash.hpp"

namespace espgate::net {

class IkeSpis {
 public:
  explicit IkeSpis(const SipKey& key = {}) : key_(key) {}

  std::uint64_t make(std::uint32_t number) const { return std::uint64_t{number} << 32 | mark(number); }
  bool is_ours(std::uint64_t spi) const {
    return static_cast<std::uint32_t>(spi) == mark(static_cast<std::uint32_t>(spi >> 32));
  }
  // Of an IKE header (RFC 7296 3.1) the SPI that is the receiver's to choose; 0: the header is cut off.
  static std::uint64_t receivers(std::span<const std::uint8_t> message) {
    constexpr std::size_t flags = 19;
    constexpr std::uint8_t from_initiator = 0x08;
    if (message.size() <= flags) return 0;
    return load_be64(message, (message[flags] & from_initiator) != 0 ? 8 : 0);
  }

 private:
  std::uint32_t mark(std::uint32_t number) const {
    return static_cast<std::uint32_t>(SipHash24(key_).finish(number));
  }

  SipKey key_;
};

}  // namespace espgate::net
