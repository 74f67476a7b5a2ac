#include "drivers/crypto/ipsec_mb_gcm.hpp"

#include <cstring>

namespace espgate::crypto {
namespace {

constexpr std::size_t line_bytes = 64;

struct alignas(key_alignment) Schedule {
  std::byte bytes[sizeof(gcm_key_data) + key_alignment];
};

struct Sealed {
  std::uint8_t text[48] = {};
  std::uint8_t icv[16] = {};

  bool operator==(const Sealed&) const = default;
};

Schedule prepare_over(const GcmCalls& calls, int fill) {
  const std::uint8_t key[32] = {1};
  Schedule schedule;
  std::memset(schedule.bytes, fill, sizeof schedule.bytes);
  calls.prepare(key, key_data(schedule.bytes));
  return schedule;
}

Sealed seal_with(const GcmCalls& calls, const Schedule& schedule) {
  const std::uint8_t nonce[12] = {}, aad[12] = {};
  gcm_context_data context;
  Sealed sealed;
  calls.seal(key_data(PreparedKey{schedule.bytes}), &context, sealed.text, sealed.text, sizeof sealed.text,
             nonce, aad, sizeof aad, sealed.icv, sizeof sealed.icv);
  return sealed;
}

}  // namespace

GcmTable gcm_table(const IMB_MGR& manager) {
  return {{{manager.gcm128_pre, manager.gcm128_enc, manager.gcm128_dec},
           {manager.gcm192_pre, manager.gcm192_enc, manager.gcm192_dec},
           {manager.gcm256_pre, manager.gcm256_enc, manager.gcm256_dec}}};
}

KeyLayout measure_key_layout(const GcmCalls& calls) {
  const auto zeros = prepare_over(calls, 0x00), ones = prepare_over(calls, 0xff);
  std::size_t written = 0;
  for (std::size_t i = 0; i < sizeof zeros.bytes; ++i)
    if (zeros.bytes[i] == ones.bytes[i]) written = i + 1;

  KeyLayout layout{(written + line_bytes - 1) / line_bytes * line_bytes, {}};
  const auto whole = seal_with(calls, zeros);
  for (std::size_t line = 0; line < layout.bytes; line += line_bytes) {
    auto spoilt = zeros;
    for (auto i = line; i < line + line_bytes; ++i) spoilt.bytes[i] ^= std::byte{0xff};
    if (seal_with(calls, spoilt) != whole) layout.hot_lines.push_back(static_cast<std::uint16_t>(line));
  }
  return layout;
}

}  // namespace espgate::crypto
