// IPsec-MB's direct AES-GCM calls, by suite, and where their key schedules lie in a prepared key.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

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

struct KeyLayout {
  std::size_t bytes;                     // of a prepared key, a multiple of key_alignment
  std::vector<std::uint16_t> hot_lines;  // offsets of the cache lines that a short packet's result depends on
};

// Finds the layout by experiment: which bytes `prepare` writes, and which lines, when spoilt, change what
// `seal` makes of a 48-byte text (a 64-byte frame's inner packet). struct gcm_key_data is as large as the
// largest implementation needs, the others use less than half of it.
KeyLayout measure_key_layout(const GcmCalls& calls);

inline gcm_key_data* key_data(std::byte* prepared) {
  return reinterpret_cast<gcm_key_data*>(prepared + key_data_offset);
}
inline const gcm_key_data* key_data(PreparedKey prepared) {
  return reinterpret_cast<const gcm_key_data*>(prepared + key_data_offset);
}

}  // namespace espgate::crypto
