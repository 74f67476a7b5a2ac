// Tokens by which a peer learns that we have lost an IKE SA with it (RFC 6290): given to it while the IKE SA
// is there, made anew from its SPIs alone when it is not, and so nothing that anybody else can make.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "control/ike/endpoint.hpp"
#include "control/ike/message.hpp"
#include "control/ike/spis.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::ike {

const Notify* crash_token_of(const Payloads& payloads);  // null: none that can be one

class CrashTokens {
 public:
  static constexpr std::size_t bytes = 16;  // RFC 6290 4.1: 16 to 128; short, to fit into an answer to few
  using Token = std::array<std::uint8_t, bytes>;

  // The newest secret first, of 32 bytes or more each. Without one there are no tokens.
  CrashTokens() = default;
  explicit CrashTokens(std::vector<Secret> secrets) : secrets_(std::move(secrets)) {}

  bool has_any() const { return !secrets_.empty(); }
  // For an IKE SA that there is.
  std::optional<Token> make(const Spis& spis) const;
  // For one that there is no more: by each secret, since it is not known which was the newest then.
  std::vector<Token> make_all(const Spis& spis) const;

 private:
  std::vector<Secret> secrets_;
};

// What goes out unprotected to whoever asks for it: so much a second in all, and to one address.
class UnprotectedBudget {
 public:
  UnprotectedBudget(std::uint32_t per_s, std::uint32_t per_s_to_one)
      : per_s_(per_s), per_s_to_one_(per_s_to_one) {}
  bool take(const net::Address& to, Time now);

 private:
  std::uint32_t per_s_;
  std::uint32_t per_s_to_one_;
  std::uint32_t taken_ = 0;
  Time second_ = Time::min() / 2;
  std::unordered_map<net::Address, std::uint32_t> by_address_;  // at most `per_s` of them
};

}  // namespace espgate::ike
