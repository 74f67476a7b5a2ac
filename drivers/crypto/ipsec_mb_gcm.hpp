// IPsec-MB's direct AES-GCM calls, by suite, and where their key schedules lie in a prepared key.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

struct GcmCalls {
  aes_gcm_pre_t prepare;
  aes_gcm_enc_dec_t seal;
  aes_gcm_enc_dec_t open;
};

// Indexed by SuiteId.
using GcmTable = std::array<GcmCalls, 3>;

// The calls that `manager` chose for this processor.
GcmTable gcm_table(const IMB_MGR& manager);

// The library's gcm_key_data begins this far into a prepared key. Its round keys are 15 * 16 bytes, so
// with 16 before them the hash-key table begins on a cache line: no 64-byte load of four powers straddles
// two lines, and the powers that a short packet needs lie in one line less.
inline constexpr std::size_t key_data_offset = 16;

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

// Finds the layout by experiment: which bytes `prepare` writes, and which lines, when spoilt, change what
// `seal` makes of texts of growing length. The table of hash-key powers differs between implementations:
// struct gcm_key_data is as large as the largest needs, and short packets use its last powers only.
KeyLayout measure_key_layout(const GcmCalls& calls);

// The texts of a 64-byte frame's inner packet. Lines they need are the hot ones.
inline constexpr std::size_t short_text_bytes = 48;

inline gcm_key_data* key_data(std::byte* prepared) {
  return reinterpret_cast<gcm_key_data*>(prepared + key_data_offset);
}
inline const gcm_key_data* key_data(PreparedKey prepared) {
  return reinterpret_cast<const gcm_key_data*>(prepared + key_data_offset);
}

}  // namespace espgate::crypto
