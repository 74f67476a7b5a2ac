#include "drivers/crypto/openssl_engine.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>
#include <climits>
#include <cstring>
#include <string>

#include "drivers/crypto/key_check.hpp"

namespace espgate::crypto {
namespace {

constexpr int icv_bytes = 16;
constexpr std::array<const char*, 3> cipher_names{"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"};
constexpr std::size_t index(SuiteId suite) {
  return static_cast<std::size_t>(suite);
}

// What prepare_key leaves: OpenSSL's own schedules cannot be shared between threads.
struct Prepared {
  std::uint32_t marker;  // tells a key of this engine and suite from stray memory
  std::uint8_t key[32];
};
constexpr std::uint32_t marker_of(SuiteId suite) {
  return 0x45564b30u + static_cast<std::uint32_t>(suite);
}
static_assert(sizeof(Prepared) <= key_alignment);

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
using Contexts = std::array<Context, 3>;

enum class Direction : int { open = 0, seal = 1 };  // EVP_CipherInit's own numbers

// The contexts know their ciphers already, so that no packet allocates.
class OpensslQueue final : public Queue {
 public:
  explicit OpensslQueue(Contexts contexts) : contexts_(std::move(contexts)) {}

  void seal(std::span<Operation> burst) override {
    for (auto& op : burst) op.status = work(op, Direction::seal);
  }
  void open(std::span<Operation> burst) override {
    for (auto& op : burst) op.status = work(op, Direction::open);
  }

 private:
  Status work(const Operation& op, Direction direction) {
    if (index(op.suite) >= contexts_.size() || op.text_bytes > INT_MAX) return Status::failed;
    auto* const context = contexts_[index(op.suite)].get();
    const auto status = feed(context, op, direction) ? finish(context, op, direction) : Status::failed;
    // What a failure left in this thread's error queue would mislead whoever looks there next.
    if (status != Status::ok) ERR_clear_error();
    return status;
  }

  // Everything up to the ICV.
  static bool feed(EVP_CIPHER_CTX* context, const Operation& op, Direction direction) {
    Prepared prepared;
    std::memcpy(&prepared, op.key, sizeof prepared);
    const bool keyed = prepared.marker == marker_of(op.suite) &&
                       EVP_CipherInit_ex2(context, nullptr, prepared.key, op.nonce,
                                          static_cast<int>(direction), nullptr) == 1;
    OPENSSL_cleanse(&prepared, sizeof prepared);
    int done = 0;
    return keyed && EVP_CipherUpdate(context, nullptr, &done, op.aad, op.aad_bytes) == 1 &&
           (op.text_bytes == 0 ||
            EVP_CipherUpdate(context, op.text, &done, op.text, static_cast<int>(op.text_bytes)) == 1);
  }

  static Status finish(EVP_CIPHER_CTX* context, const Operation& op, Direction direction) {
    std::uint8_t no_text[16];
    int done = 0;
    if (direction == Direction::seal) {
      const bool sealed = EVP_CipherFinal_ex(context, no_text, &done) == 1 &&
                          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, icv_bytes, op.icv) == 1;
      return sealed ? Status::ok : Status::failed;
    }
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, icv_bytes, op.icv) != 1) return Status::failed;
    return EVP_CipherFinal_ex(context, no_text, &done) == 1 ? Status::ok : Status::bad_icv;
  }

  Contexts contexts_;
};

class OpensslEngine final : public Engine {
 public:
  explicit OpensslEngine(std::array<Cipher, 3> ciphers) : ciphers_(std::move(ciphers)) {}

  std::string_view name() const override { return "openssl"; }
  std::string_view implementation() const override { return "evp"; }
  std::string library() const override {
    return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING);
  }
  std::size_t prepared_key_bytes(SuiteId) const override { return key_alignment; }
  std::span<const std::uint16_t> hot_key_lines(SuiteId) const override { return only_line; }

  Expected<void> prepare_key(SuiteId id, std::span<const std::uint8_t> key, std::byte* out) override {
    if (auto good = check_key(id, key); !good) return good;
    Prepared prepared{marker_of(id), {}};
    std::memcpy(prepared.key, key.data(), key.size());
    std::memset(out, 0, key_alignment);
    std::memcpy(out, &prepared, sizeof prepared);
    OPENSSL_cleanse(&prepared, sizeof prepared);
    return {};
  }

  Expected<std::unique_ptr<Queue>> make_queue() override {
    Contexts contexts;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      contexts[i].reset(EVP_CIPHER_CTX_new());
      if (!contexts[i] ||
          EVP_CipherInit_ex2(contexts[i].get(), ciphers_[i].get(), nullptr, nullptr, 1, nullptr) != 1)
        return Error{"OpenSSL cannot set up " + std::string(cipher_names[i]),
                     "check the OpenSSL installation"};
    }
    return std::unique_ptr<Queue>(std::make_unique<OpensslQueue>(std::move(contexts)));
  }

 private:
  static constexpr std::array<std::uint16_t, 1> only_line{0};
  std::array<Cipher, 3> ciphers_;
};

}  // namespace

Expected<std::unique_ptr<Engine>> make_openssl_engine() {
  std::array<Cipher, 3> ciphers;
  for (std::size_t i = 0; i < ciphers.size(); ++i) {
    ciphers[i].reset(EVP_CIPHER_fetch(nullptr, cipher_names[i], nullptr));
    if (!ciphers[i])
      return Error{"OpenSSL offers no " + std::string(cipher_names[i]),
                   "check the providers in openssl.cnf, or set crypto-engine = \"ipsec-mb\""};
  }
  return std::unique_ptr<Engine>(std::make_unique<OpensslEngine>(std::move(ciphers)));
}

}  // namespace espgate::crypto
