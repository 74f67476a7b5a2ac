#include "drivers/crypto/openssl_queue.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "datapath/net/headers.hpp"

namespace espgate::crypto {
namespace {

constexpr int aead_icv_bytes = 16;

bool feed_aad(EVP_CIPHER_CTX* context, const std::uint8_t* bytes, std::uint32_t count) {
  int done = 0;
  return EVP_CipherUpdate(context, nullptr, &done, bytes, static_cast<int>(count)) == 1;
}

bool transform(EVP_CIPHER_CTX* context, std::uint8_t* bytes, std::uint32_t count) {
  int done = 0;
  return count == 0 || EVP_CipherUpdate(context, bytes, &done, bytes, static_cast<int>(count)) == 1;
}

bool add(EVP_MD_CTX* context, const void* bytes, std::size_t count) {
  return EVP_DigestUpdate(context, bytes, count) == 1;
}

// HMAC (RFC 2104) of the packet from its ESP header on, written out because EVP_MAC allocates for each key.
// `mac` holds a whole digest.
bool authenticate(EVP_MD_CTX* context, const Operation& op, const OpensslKey& key, std::uint8_t* mac) {
  const auto& row = suite(op.suite);
  const auto* const digest = EVP_MD_CTX_get0_md(context);
  const auto digest_block_bytes = static_cast<std::size_t>(EVP_MD_get_block_size(digest));
  std::array<std::uint8_t, 128> pad;
  const auto begin = [&](std::uint8_t byte) {
    pad.fill(byte);
    for (std::size_t i = 0; i < row.integrity_key_bytes; ++i) pad[i] ^= key.integrity[i];
    return EVP_DigestInit_ex2(context, digest, nullptr) == 1 && add(context, pad.data(), digest_block_bytes);
  };
  const std::size_t headers_bytes = net::esp_header_bytes + row.iv_bytes;
  unsigned mac_bytes = 0;
  const bool done = begin(0x36) && add(context, op.text - headers_bytes, headers_bytes + op.text_bytes) &&
                    // The high half of an extended sequence number goes behind the text (RFC 4303 2.2.1).
                    (op.aad_bytes != 12 || add(context, op.aad + 4, 4)) &&
                    EVP_DigestFinal_ex(context, mac, &mac_bytes) == 1 && begin(0x5c) &&
                    add(context, mac, mac_bytes) && EVP_DigestFinal_ex(context, mac, &mac_bytes) == 1;
  OPENSSL_cleanse(pad.data(), pad.size());
  return done;
}

}  // namespace

void OpensslQueue::seal(std::span<Operation> burst) {
  for (auto& op : burst) op.status = work(op, Direction::seal);
}
void OpensslQueue::open(std::span<Operation> burst) {
  for (auto& op : burst) op.status = work(op, Direction::open);
}

Status OpensslQueue::work(const Operation& op, Direction direction) {
  if (index_of(op.suite) >= contexts_.size() || op.text_bytes > INT_MAX - 1'024) return Status::failed;
  OpensslKey key;
  std::memcpy(&key, op.key, sizeof key);
  const auto& contexts = contexts_[index_of(op.suite)];
  auto status = Status::failed;
  if (key.marker == marker_of(op.suite))
    status = suite(op.suite).integrity == Integrity::by_cipher
                 ? aead(contexts, op, key, direction)
                 : encrypt_then_mac(contexts, op, key, direction);
  OPENSSL_cleanse(&key, sizeof key);
  // What a failure left in this thread's error queue would mislead whoever looks there next.
  if (status != Status::ok) ERR_clear_error();
  return status;
}

Status OpensslQueue::aead(const Contexts& contexts, const Operation& op, const OpensslKey& key,
                          Direction direction) {
  auto* const context = contexts.cipher.get();
  const auto& row = suite(op.suite);
  const bool opens = direction == Direction::open;
  const bool ccm = row.cipher == Cipher::aes_ccm_16;
  if (EVP_CipherInit_ex2(context, nullptr, key.cipher, op.nonce + 4 - row.salt_bytes,
                         static_cast<int>(direction), nullptr) != 1)
    return Status::failed;
  if (opens && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, aead_icv_bytes, op.icv()) != 1)
    return Status::failed;
  int done = 0;
  // CCM wants to know the text's length before anything else.
  if (ccm && EVP_CipherUpdate(context, nullptr, &done, nullptr, static_cast<int>(op.text_bytes)) != 1)
    return Status::failed;
  if (!feed_aad(context, op.aad, op.aad_bytes)) return Status::failed;
  if (row.cipher == Cipher::aes_gmac) {
    // Everything is AAD, the IV too (RFC 4543 3.3).
    if (!feed_aad(context, op.text - row.iv_bytes, row.iv_bytes + op.text_bytes)) return Status::failed;
  } else if (ccm) {
    // Without text, too, this is where CCM computes the ICV, and where it compares it.
    if (EVP_CipherUpdate(context, op.text, &done, op.text, static_cast<int>(op.text_bytes)) != 1)
      return opens ? Status::bad_icv : Status::failed;
  } else if (!transform(context, op.text, op.text_bytes)) {
    return Status::failed;
  }
  std::uint8_t no_text[16];
  if (!ccm && EVP_CipherFinal_ex(context, no_text, &done) != 1)
    return opens ? Status::bad_icv : Status::failed;
  return opens || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, aead_icv_bytes, op.icv()) == 1
             ? Status::ok
             : Status::failed;
}

Status OpensslQueue::encrypt_then_mac(const Contexts& contexts, const Operation& op, const OpensslKey& key,
                                      Direction direction) {
  const auto& row = suite(op.suite);
  auto* const context = contexts.cipher.get();
  const bool opens = direction == Direction::open;
  if (row.cipher == Cipher::aes_cbc && op.text_bytes % aes_block_bytes != 0) return Status::failed;
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> mac;
  if (opens) {
    if (!authenticate(contexts.digest.get(), op, key, mac.data())) return Status::failed;
    if (CRYPTO_memcmp(mac.data(), op.icv(), row.icv_bytes) != 0) return Status::bad_icv;
  }
  std::array<std::uint8_t, aes_block_bytes> counter_or_iv{};
  auto* text = op.text;
  auto text_bytes = op.text_bytes;
  if (row.cipher == Cipher::aes_ctr) {
    std::ranges::copy(op.nonce, counter_or_iv.begin());
    counter_or_iv.back() = 1;  // RFC 3686 4
  } else if (row.cipher == Cipher::aes_cbc) {
    if (opens) {
      std::memcpy(counter_or_iv.data(), op.text - aes_block_bytes, aes_block_bytes);
    } else {
      // The nonce in the IV's place is the first block, so its encryption is what the text is chained to.
      text -= aes_block_bytes;
      text_bytes += aes_block_bytes;
    }
  }
  if (row.cipher != Cipher::null && (EVP_CipherInit_ex2(context, nullptr, key.cipher, counter_or_iv.data(),
                                                        static_cast<int>(direction), nullptr) != 1 ||
                                     !transform(context, text, text_bytes)))
    return Status::failed;
  if (opens) return Status::ok;
  if (!authenticate(contexts.digest.get(), op, key, mac.data())) return Status::failed;
  std::memcpy(op.icv(), mac.data(), row.icv_bytes);
  return Status::ok;
}

}  // namespace espgate::crypto
