// ICVs in constant time.
#pragma once

#include <cstdint>
#include <cstring>

#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

static_assert(static_cast<int>(Status::ok) == 0 && static_cast<int>(Status::bad_icv) == 1);

// `bytes` is a multiple of 4. All of them, whatever the first ones say, and no branch on the outcome.
inline Status compare_icv(const std::uint8_t* ours, const std::uint8_t* theirs, std::size_t bytes) {
  std::uint64_t difference = 0;
  const auto add = [&](std::size_t at, std::size_t count) {
    std::uint64_t a = 0, b = 0;
    std::memcpy(&a, ours + at, count);
    std::memcpy(&b, theirs + at, count);
    difference |= a ^ b;
  };
  for (std::size_t at = 0; at + 8 <= bytes; at += 8) add(at, 8);
  if (bytes % 8 != 0) add(bytes - 4, 4);
  return static_cast<Status>(difference != 0);
}

}  // namespace espgate::crypto
