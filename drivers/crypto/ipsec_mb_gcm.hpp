// IPsec-MB's direct AES-GCM calls, which do GMAC too, and where their key schedules lie in a prepared key.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>

#include "datapath/crypto/engine.hpp"
#include "drivers/crypto/key_layout.hpp"

namespace espgate::crypto {

struct GcmCalls {
  aes_gcm_pre_t prepare;
  aes_gcm_enc_dec_t seal;
  aes_gcm_enc_dec_t open;
};

// Indexed by gcm_index.
using GcmTable = std::array<GcmCalls, 3>;

// 0 to 2, by the length of the key.
constexpr std::size_t gcm_index(const Suite& suite) {
  return suite.key_bytes / 8u - 2;
}

// The calls that `manager` chose for this processor.
GcmTable gcm_table(const IMB_MGR& manager);

// GMAC in parts.
struct GmacCalls {
  aes_gmac_init_t begin;
  aes_gmac_update_t add;
  aes_gmac_finalize_t end;
};
inline std::array<GmacCalls, 3> gmac_table(const IMB_MGR& manager) {
  return {{{manager.gmac128_init, manager.gmac128_update, manager.gmac128_finalize},
           {manager.gmac192_init, manager.gmac192_update, manager.gmac192_finalize},
           {manager.gmac256_init, manager.gmac256_update, manager.gmac256_finalize}}};
}

// The library's gcm_key_data begins this far into a prepared key. Its round keys are 15 * 16 bytes, so
// with 16 before them the hash-key table begins on a cache line: no 64-byte load of four powers straddles
// two lines, and the powers that a short packet needs lie in one line less.
inline constexpr std::size_t key_data_offset = 16;

// Finds the layout by experiment: which bytes `prepare` writes, and which lines, when spoilt, change what
// `seal` makes of texts of growing length. The table of hash-key powers differs between implementations:
// struct gcm_key_data is as large as the largest needs, and short packets use its last powers only.
KeyLayout measure_key_layout(const GcmCalls& calls);

inline gcm_key_data* key_data(std::byte* prepared) {
  return reinterpret_cast<gcm_key_data*>(prepared + key_data_offset);
}
inline const gcm_key_data* key_data(PreparedKey prepared) {
  return reinterpret_cast<const gcm_key_data*>(prepared + key_data_offset);
}

}  // namespace espgate::crypto
