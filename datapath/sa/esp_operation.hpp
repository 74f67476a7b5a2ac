// From an ESP packet and its SA to what the crypto engine is to do: nonce and AAD as each suite's RFC has
// them.
#pragma once

#include <cstdint>
#include <cstring>

#include "datapath/crypto/engine.hpp"
#include "datapath/net/bytes.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::sa {

// `esp` points at an ESP header with its IV of `iv_bytes`, the suite's, a text of `text_bytes` and room for
// the ICV behind it. An Sa has the members suite, key, salt and extended_sequence of both SAs. `sequence` is
// the whole number.
template <typename Sa>
inline void describe_esp(crypto::Operation& operation, const Sa& sa, std::uint8_t* esp, std::size_t iv_bytes,
                         std::uint32_t text_bytes, std::uint64_t sequence) {
  std::uint8_t* const iv = esp + net::esp_header_bytes;
  operation.key = sa.key;
  operation.text = iv + iv_bytes;
  operation.text_bytes = text_bytes;
  operation.suite = sa.suite;
  // Suites without salt and an 8-byte IV do not read the nonce.
  std::memcpy(operation.nonce, sa.salt, 4);
  std::memcpy(operation.nonce + 4, iv, 8);
  std::memcpy(operation.aad, esp, 4);
  if (sa.extended_sequence) {
    net::store_be64(operation.aad, 4, sequence);
    operation.aad_bytes = 12;
  } else {
    net::store_be32(operation.aad, 4, static_cast<std::uint32_t>(sequence));
    operation.aad_bytes = 8;
  }
}

}  // namespace espgate::sa
