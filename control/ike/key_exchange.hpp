// Key exchange methods of IKEv2 (transform type 4) by OpenSSL. Any thread; some take milliseconds, so they
// run on the thread pool, not in the control loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "datapath/base/secret.hpp"

namespace espgate::ike {

struct KeyExchangeMethod {
  std::uint16_t id;       // IANA's
  std::string_view name;  // as the configuration writes it
  // Of the value in a KE payload, both ways; what is of another length is not an answer to this method.
  std::uint16_t value_bytes;
};

// All that there are, strongest last is not said: IANA's order.
std::span<const KeyExchangeMethod> key_exchange_methods();
// Null: not one of ours.
const KeyExchangeMethod* find_key_exchange(std::uint16_t id);

// One side's half. Its private key is used once and goes with it.
class KeyExchangeHalf {
 public:
  // Throws std::bad_alloc when OpenSSL cannot make a key, which only want of memory or of entropy makes it.
  explicit KeyExchangeHalf(const KeyExchangeMethod& method);
  ~KeyExchangeHalf();
  KeyExchangeHalf(KeyExchangeHalf&&) noexcept;
  KeyExchangeHalf& operator=(KeyExchangeHalf&&) noexcept;

  const KeyExchangeMethod& method() const { return *method_; }
  // For our KE payload.
  const std::vector<std::uint8_t>& value() const { return value_; }
  // None: the peer's value is of the wrong length, not on the curve, or gives zero (RFC 6989, RFC 8031 2).
  std::optional<Secret> shared_secret(std::span<const std::uint8_t> peer_value) const;

 private:
  struct Private;
  const KeyExchangeMethod* method_;
  std::unique_ptr<Private> private_;
  std::vector<std::uint8_t> value_;
};

}  // namespace espgate::ike
