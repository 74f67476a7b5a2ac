#include "control/ike/crash_tokens.hpp"

#include <algorithm>

#include "control/ike/hmac.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

CrashTokens::Token token_of(const Secret& secret, const Spis& spis) {
  std::array<std::uint8_t, 16> input;
  net::store_be64(input, 0, spis.initiator);
  net::store_be64(input, 8, spis.responder);
  const auto mac = hmac("SHA256", secret.bytes(), {input});
  CrashTokens::Token token;
  std::copy_n(mac.bytes().begin(), token.size(), token.begin());
  return token;
}

std::uint32_t bit_of(const Secret& secret) {
  return secret.bytes().front() & 1;
}

}  // namespace

const Notify* crash_token_of(const Payloads& payloads) {
  const auto* token = payloads.notify(NotifyType::quick_crash_detection);
  return token != nullptr && token->data.size() >= 16 && token->data.size() <= 128 ? token : nullptr;
}

std::uint32_t CrashTokens::mark(std::uint32_t number) const {
  return secrets_.empty() ? number : (number & ~1u) | bit_of(secrets_.front());
}

std::optional<CrashTokens::Token> CrashTokens::make(const Spis& spis, std::uint64_t ours) const {
  const auto bit = static_cast<std::uint32_t>(ours >> 32) & 1;
  const auto secret = std::ranges::find(secrets_, bit, bit_of);
  if (secret == secrets_.end()) return std::nullopt;
  return token_of(*secret, spis);
}

}  // namespace espgate::ike
