// The peer's outer address and port of an SA whose peer may move (RFC 3948 with a NAT that rebinds, RFC
// 4555): control writes them while workers read. Word by word, each atomic and relaxed; a packet that meets a
// change half way is one that the old mapping would have lost, too.
#pragma once

#include <cstdint>
#include <cstring>

#include "datapath/net/address.hpp"

namespace espgate::sa {

// `bytes` is a multiple of 4; both are aligned to 4.
inline void store_shared(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 4) {
    std::uint32_t word;
    std::memcpy(&word, from + i, sizeof word);
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(to + i), word, __ATOMIC_RELAXED);
  }
}

inline void load_shared(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 4) {
    const std::uint32_t word =
        __atomic_load_n(reinterpret_cast<const std::uint32_t*>(from + i), __ATOMIC_RELAXED);
    std::memcpy(to + i, &word, sizeof word);
  }
}

}  // namespace espgate::sa
