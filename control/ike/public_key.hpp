// Keys that sign: those of certificates, and our private ones. Values that may be copied and used by several
// threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "datapath/base/expected.hpp"

struct evp_pkey_st;

namespace espgate::ike {

enum class KeyKind : std::uint8_t { rsa, ecdsa_256, ecdsa_384, ecdsa_521, ed25519 };

// RSA keys have 2,048 to 8,192 bits: fewer are broken, more cost the one who verifies too much.
class PublicKey {
 public:
  // Takes a reference of its own. Errors: a kind of key, or a size, that is not allowed.
  static Expected<PublicKey> of(evp_pkey_st* key);

  KeyKind kind() const { return kind_; }
  // "RSA-2048", "ECDSA P-256", "Ed25519".
  std::string text() const;
  evp_pkey_st* handle() const { return key_.get(); }
  bool operator==(const PublicKey& other) const;

 private:
  PublicKey(std::shared_ptr<evp_pkey_st> key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}

  std::shared_ptr<evp_pkey_st> key_;
  KeyKind kind_;
};

class PrivateKey {
 public:
  // One private key in PEM: PKCS#8, or an algorithm's own form. Errors: encrypted, none, or not allowed.
  static Expected<PrivateKey> from_pem(std::span<const std::uint8_t> text);

  // Its handle has the private part.
  const PublicKey& key() const { return key_; }

 private:
  explicit PrivateKey(PublicKey key) : key_(std::move(key)) {}

  PublicKey key_;
};

}  // namespace espgate::ike
