// Where in a prepared key the things lie that packets need, so that they can be fetched in time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace espgate::crypto {

// A cache line of a prepared key, and the length of text from which on a packet needs it.
struct KeyLine {
  std::uint16_t offset;
  std::uint16_t from_text_bytes;
};

struct KeyLayout {
  std::size_t bytes = 0;            // of a prepared key, a multiple of key_alignment
  std::uint8_t line_count = 0;      // used entries of `lines`
  std::array<KeyLine, 17> lines{};  // by from_text_bytes, ascending
};

// The texts of a 64-byte frame's inner packet. Lines they need are the hot ones.
inline constexpr std::size_t short_text_bytes = 48;

// All of a key of `bytes` bytes, needed by every packet.
constexpr KeyLayout whole_key(std::size_t bytes) {
  constexpr std::size_t line_bytes = 64;
  KeyLayout layout;
  for (; layout.bytes < bytes; layout.bytes += line_bytes)
    layout.lines[layout.line_count++] = {static_cast<std::uint16_t>(layout.bytes), 0};
  return layout;
}

}  // namespace espgate::crypto
