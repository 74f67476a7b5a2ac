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
  // Of the value in the initiator's KE payload, and in the responder's. What is of another length does not
  // belong to this method. A key encapsulation's are a public key and a ciphertext.
  std::uint16_t value_bytes;
  std::uint16_t answer_bytes;
};

// All that this OpenSSL can, in IANA's order: ML-KEM from 3.5 on. Key encapsulations are for additional key
// exchanges only (RFC 9370).
std::span<const KeyExchangeMethod> key_exchange_methods();
// Names of those that only a later OpenSSL can.
std::vector<std::string_view> missing_key_exchanges();
// Null: not one of ours.
const KeyExchangeMethod* find_key_exchange(std::uint16_t id);
bool is_encapsulation(const KeyExchangeMethod& method);

// The responder's part, all at once: its KE payload's value, and the secret that both then have.
struct KeyExchangeAnswer {
  std::vector<std::uint8_t> value;
  Secret shared;
};
// None: the initiator's value is of the wrong length, not on the curve, or gives zero (RFC 6989, RFC 8031 2,
// FIPS 203 7.2). Throws like KeyExchangeHalf.
std::optional<KeyExchangeAnswer> answer_key_exchange(const KeyExchangeMethod& method,
                                                     std::span<const std::uint8_t> initiator_value);

// The initiator's half. Its private key is used once and goes with it. With methods that are not key
// encapsulations the two halves are alike, and a responder may use one as well.
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
  // Of the responder's value. None: as above.
  std::optional<Secret> shared_secret(std::span<const std::uint8_t> peer_value) const;

 private:
  struct Private;
  const KeyExchangeMethod* method_;
  std::unique_ptr<Private> private_;
  std::vector<std::uint8_t> value_;
};

}  // namespace espgate::ike
