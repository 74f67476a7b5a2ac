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

}  // namespace

const Notify* crash_token_of(const Payloads& payloads) {
  const auto* token = payloads.notify(NotifyType::quick_crash_detection);
  return token != nullptr && token->data.size() >= 16 && token->data.size() <= 128 ? token : nullptr;
}

std::optional<CrashTokens::Token> CrashTokens::make(const Spis& spis) const {
  if (secrets_.empty()) return std::nullopt;
  return token_of(secrets_.front(), spis);
}

std::vector<CrashTokens::Token> CrashTokens::make_all(const Spis& spis) const {
  std::vector<Token> tokens;
  for (const auto& secret : secrets_) tokens.push_back(token_of(secret, spis));
  return tokens;
}

bool UnprotectedBudget::take(const net::Address& to, Time now) {
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    taken_ = 0;
    by_address_.clear();
  }
  if (taken_ >= per_s_ || by_address_[to] >= per_s_to_one_) return false;
  ++taken_;
  ++by_address_[to];
  return true;
}

}  // namespace espgate::ike
