// One worker's half of the OpenSSL engine.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <memory>

#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

struct OpensslFree {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpensslFree>;

// What OpenSSL calls a suite's algorithms; null where there is none.
struct Algorithms {
  Owned<EVP_CIPHER> cipher;
  Owned<EVP_MD> digest;
};
// Scratch of one packet. It knows its algorithms already, so that no packet allocates.
struct Contexts {
  Owned<EVP_CIPHER_CTX> cipher;
  Owned<EVP_MD_CTX> digest;
};

// What prepare_key leaves: OpenSSL's own schedules cannot be shared between threads.
struct alignas(key_alignment) OpensslKey {
  std::uint32_t marker;  // tells a key of this engine and suite from stray memory
  std::uint8_t cipher[32];
  std::uint8_t integrity[64];
};
constexpr std::uint32_t marker_of(SuiteId suite) {
  return 0x45564b30u + static_cast<std::uint32_t>(suite);
}

class OpensslQueue final : public Queue {
 public:
  explicit OpensslQueue(std::array<Contexts, suite_count> contexts) : contexts_(std::move(contexts)) {}

  void seal(std::span<Operation> burst) override;
  void open(std::span<Operation> burst) override;

 private:
  enum class Direction : int { open = 0, seal = 1 };  // EVP_CipherInit's own numbers

  Status work(const Operation& operation, Direction direction);
  static Status aead(const Contexts& contexts, const Operation& operation, const OpensslKey& key,
                     Direction direction);
  static Status encrypt_then_mac(const Contexts& contexts, const Operation& operation, const OpensslKey& key,
                                 Direction direction);

  std::array<Contexts, suite_count> contexts_;  // indexed by SuiteId
};

}  // namespace espgate::crypto
