#include "drivers/crypto/ipsec_mb_gcm.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <tuple>

namespace espgate::crypto {
namespace {

constexpr std::size_t line_bytes = 64;
// No implementation has more than 48 powers of the hash key, so longer texts need nothing else.
constexpr std::size_t longest_text_bytes = 1024;

struct alignas(key_alignment) Schedule {
  std::byte bytes[sizeof(gcm_key_data) + key_alignment];
};
static_assert(sizeof(Schedule) / line_bytes <= std::tuple_size_v<decltype(KeyLayout::lines)>);

struct Sealed {
  std::uint8_t text[longest_text_bytes] = {};
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

Sealed seal_with(const GcmCalls& calls, const Schedule& schedule, std::size_t text_bytes) {
  const std::uint8_t nonce[12] = {}, aad[12] = {};
  gcm_context_data context;
  Sealed sealed;
  calls.seal(key_data(PreparedKey{schedule.bytes}), &context, sealed.text, sealed.text, text_bytes, nonce,
             aad, sizeof aad, sealed.icv, sizeof sealed.icv);
  return sealed;
}

// The lines of `schedule`, but for those in `layout` already, that a text of this length needs.
void add_lines(const GcmCalls& calls, const Schedule& schedule, std::size_t text_bytes, KeyLayout& layout) {
  const auto known = std::span(layout.lines).first(layout.line_count);
  const auto whole = seal_with(calls, schedule, text_bytes);
  for (std::size_t offset = 0; offset < layout.bytes; offset += line_bytes) {
    if (std::ranges::find(known, offset, &KeyLine::offset) != known.end()) continue;
    auto spoilt = schedule;
    for (auto i = offset; i < offset + line_bytes; ++i) spoilt.bytes[i] ^= std::byte{0xff};
    if (seal_with(calls, spoilt, text_bytes) != whole)
      layout.lines[layout.line_count++] = {static_cast<std::uint16_t>(offset),
                                           static_cast<std::uint16_t>(text_bytes)};
  }
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

  KeyLayout layout;
  layout.bytes = (written + line_bytes - 1) / line_bytes * line_bytes;
  add_lines(calls, zeros, short_text_bytes, layout);
  for (std::size_t text = line_bytes; text <= longest_text_bytes; text += line_bytes)
    add_lines(calls, zeros, text, layout);
  return layout;
}

}  // namespace espgate::crypto
