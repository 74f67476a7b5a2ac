// Numbers out of and into wire bytes. A wire header is never laid over memory as a struct: every field is
// copied by its offset, so alignment and aliasing do not matter, and debug builds check every range.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace espgate::net {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "written for x86");

// The caller has checked that the field lies inside `bytes`; a peer's lengths never get this far unchecked.
inline std::uint16_t load_be16(std::span<const std::uint8_t> bytes, std::size_t offset) {
  assert(offset + sizeof(std::uint16_t) <= bytes.size());
  std::uint16_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return __builtin_bswap16(value);
}

inline std::uint32_t load_be32(std::span<const std::uint8_t> bytes, std::size_t offset) {
  assert(offset + sizeof(std::uint32_t) <= bytes.size());
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return __builtin_bswap32(value);
}

inline std::uint64_t load_be64(std::span<const std::uint8_t> bytes, std::size_t offset) {
  assert(offset + sizeof(std::uint64_t) <= bytes.size());
  std::uint64_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return __builtin_bswap64(value);
}

inline void store_be16(std::span<std::uint8_t> bytes, std::size_t offset, std::uint16_t value) {
  assert(offset + sizeof value <= bytes.size());
  value = __builtin_bswap16(value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

inline void store_be32(std::span<std::uint8_t> bytes, std::size_t offset, std::uint32_t value) {
  assert(offset + sizeof value <= bytes.size());
  value = __builtin_bswap32(value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

inline void store_be64(std::span<std::uint8_t> bytes, std::size_t offset, std::uint64_t value) {
  assert(offset + sizeof value <= bytes.size());
  value = __builtin_bswap64(value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace espgate::net
