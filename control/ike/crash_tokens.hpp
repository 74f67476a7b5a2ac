// Tokens by which a peer learns that we have lost an IKE SA with it (RFC 6290): given to it while the IKE SA
// is there, made anew from its SPIs alone when it is not, and so nothing that anybody else can make.
//
// Secrets change now and then. A bit of our SPI says which of the two last ones an IKE SA's token is made by,
// so that who has lost the IKE SA sends the right one, and that alone: it may answer no more than what came.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
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

  // The newest secret first, of 32 bytes or more each. Without one there are no tokens. The lowest bit of the
  // first byte tells two that follow each other apart.
  CrashTokens() = default;
  explicit CrashTokens(std::vector<Secret> secrets) : secrets_(std::move(secrets)) {}

  // An SPI of ours that begins with it has its token by the newest secret.
  std::uint32_t mark(std::uint32_t number) const;
  // Of an IKE SA with these SPIs, of which `ours` is ours. None: no secret is the one of that SPI.
  std::optional<Token> make(const Spis& spis, std::uint64_t ours) const;

 private:
  std::vector<Secret> secrets_;
};

}  // namespace espgate::ike
