#include "drivers/crypto/openssl_engine.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "drivers/crypto/key_check.hpp"
#include "drivers/crypto/openssl_queue.hpp"

namespace espgate::crypto {
namespace {

constexpr int ccm_nonce_bytes = 11;  // RFC 4309 4
constexpr int ccm_icv_bytes = 16;

// Empty: no cipher.
std::string cipher_name(const Suite& suite) {
  const auto aes = "AES-" + std::to_string(suite.key_bytes * 8);
  switch (suite.cipher) {
    case Cipher::null:
      break;
    case Cipher::aes_cbc:
      return aes + "-CBC";
    case Cipher::aes_ctr:
      return aes + "-CTR";
    case Cipher::aes_ccm_16:
      return aes + "-CCM";
    case Cipher::aes_gcm_16:
    case Cipher::aes_gmac:
      return aes + "-GCM";
    case Cipher::chacha20_poly1305:
      return "ChaCha20-Poly1305";
  }
  return "";
}

const char* digest_name(Integrity integrity) {
  switch (integrity) {
    case Integrity::by_cipher:
      break;
    case Integrity::hmac_sha1_96:
      return "SHA1";
    case Integrity::hmac_sha2_256_128:
      return "SHA2-256";
    case Integrity::hmac_sha2_384_192:
      return "SHA2-384";
    case Integrity::hmac_sha2_512_256:
      return "SHA2-512";
  }
  return nullptr;
}

bool set_up(EVP_CIPHER_CTX* context, const EVP_CIPHER* cipher, const Suite& suite) {
  if (context == nullptr || EVP_CipherInit_ex2(context, cipher, nullptr, nullptr, 1, nullptr) != 1)
    return false;
  if (suite.cipher == Cipher::aes_cbc) return EVP_CIPHER_CTX_set_padding(context, 0) == 1;
  return suite.cipher != Cipher::aes_ccm_16 ||
         (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ccm_nonce_bytes, nullptr) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, ccm_icv_bytes, nullptr) == 1);
}

class OpensslEngine final : public Engine {
 public:
  explicit OpensslEngine(std::array<Algorithms, suite_count> algorithms)
      : algorithms_(std::move(algorithms)) {}

  std::string_view name() const override { return "openssl"; }
  std::string_view implementation() const override { return "evp"; }
  std::string library() const override {
    return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING);
  }
  std::size_t prepared_key_bytes(SuiteId) const override { return sizeof(OpensslKey); }
  std::span<const std::uint16_t> hot_key_lines(SuiteId id) const override {
    return std::span(lines).first(suite(id).integrity == Integrity::by_cipher ? 1 : 2);
  }

  Expected<void> prepare_key(SuiteId id, std::span<const std::uint8_t> keymat, std::byte* out) override {
    if (auto good = check_keymat(id, keymat); !good) return good;
    const auto& row = suite(id);
    OpensslKey key{};
    key.marker = marker_of(id);
    std::memcpy(key.cipher, keymat.data(), row.key_bytes);
    std::memcpy(key.integrity, keymat.last(row.integrity_key_bytes).data(), row.integrity_key_bytes);
    std::memcpy(out, &key, sizeof key);
    OPENSSL_cleanse(&key, sizeof key);
    return {};
  }

  Expected<std::unique_ptr<Queue>> make_queue() override {
    std::array<Contexts, suite_count> contexts;
    for (const auto& suite : suites()) {
      const auto& [cipher, digest] = algorithms_[index_of(suite.id)];
      auto& mine = contexts[index_of(suite.id)];
      if (cipher) mine.cipher.reset(EVP_CIPHER_CTX_new());
      if (digest) mine.digest.reset(EVP_MD_CTX_new());
      if ((cipher && !set_up(mine.cipher.get(), cipher.get(), suite)) ||
          (digest && (!mine.digest || EVP_DigestInit_ex2(mine.digest.get(), digest.get(), nullptr) != 1)))
        return Error{"OpenSSL cannot set up " + std::string(suite.name), "check the OpenSSL installation"};
    }
    return std::unique_ptr<Queue>(std::make_unique<OpensslQueue>(std::move(contexts)));
  }

 private:
  static constexpr std::array<std::uint16_t, 2> lines{0, 64};
  static_assert(sizeof(OpensslKey) == 128);
  std::array<Algorithms, suite_count> algorithms_;
};

}  // namespace

Expected<std::unique_ptr<Engine>> make_openssl_engine() {
  std::array<Algorithms, suite_count> algorithms;
  for (const auto& suite : suites()) {
    auto& [cipher, digest] = algorithms[index_of(suite.id)];
    const auto name = cipher_name(suite);
    const auto* const hash = digest_name(suite.integrity);
    if (!name.empty()) cipher.reset(EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr));
    if (hash) digest.reset(EVP_MD_fetch(nullptr, hash, nullptr));
    if ((!name.empty() && !cipher) || (hash && !digest))
      return Error{"OpenSSL does not offer what " + std::string(suite.name) + " needs",
                   "check the providers in openssl.cnf"};
  }
  return std::unique_ptr<Engine>(std::make_unique<OpensslEngine>(std::move(algorithms)));
}

}  // namespace espgate::crypto
