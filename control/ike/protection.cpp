#include "control/ike/protection.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <new>
#include <string>

#include "control/ike/hmac.hpp"
#include "control/ike/openssl.hpp"
#include "control/ike/write.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t fragment_fields_bytes = 4;  // number and total

const EVP_CIPHER* evp_cipher(const crypto::Suite& suite) {
  const bool long_key = suite.key_bytes == 32;
  switch (suite.cipher) {
    case crypto::Cipher::aes_cbc:
      return long_key ? EVP_aes_256_cbc() : suite.key_bytes == 24 ? EVP_aes_192_cbc() : EVP_aes_128_cbc();
    case crypto::Cipher::aes_gcm_16:
      return long_key ? EVP_aes_256_gcm() : suite.key_bytes == 24 ? EVP_aes_192_gcm() : EVP_aes_128_gcm();
    case crypto::Cipher::chacha20_poly1305:
      return EVP_chacha20_poly1305();
    default:
      return nullptr;
  }
}

const char* digest_of(crypto::Integrity integrity) {
  switch (integrity) {
    case crypto::Integrity::hmac_sha2_256_128:
      return "SHA2-256";
    case crypto::Integrity::hmac_sha2_384_192:
      return "SHA2-384";
    case crypto::Integrity::hmac_sha2_512_256:
      return "SHA2-512";
    default:
      return nullptr;
  }
}

int size_of(std::span<const std::uint8_t> bytes) {
  assert(bytes.size() <= 0xffff);
  return static_cast<int>(bytes.size());
}

}  // namespace

struct Protection::State {
  const crypto::Suite& suite;
  Secret key;
  Secret integrity_key;
  CipherContext context{EVP_CIPHER_CTX_new()};
  std::uint64_t next_iv = 1;  // of an AEAD: never twice with one key

  bool is_aead() const { return suite.integrity == crypto::Integrity::by_cipher; }
  std::span<const std::uint8_t> cipher_key() const { return std::span(key.bytes()).first(suite.key_bytes); }

  // An AEAD's nonce: salt, then IV. Otherwise the IV.
  std::array<std::uint8_t, 16> nonce(std::span<const std::uint8_t> iv) const {
    std::array<std::uint8_t, 16> out{};
    const auto salt = std::span(key.bytes()).subspan(suite.key_bytes);
    std::ranges::copy(iv, std::ranges::copy(salt, out.begin()).out);
    return out;
  }

  // The ICV is cut to its size.
  Secret mac(Bytes message) const {
    return hmac(digest_of(suite.integrity), integrity_key.bytes(), {message});
  }
};

bool protects_ike(const crypto::Suite& suite) {
  if (evp_cipher(suite) == nullptr) return false;
  return suite.integrity == crypto::Integrity::by_cipher ? suite.cipher != crypto::Cipher::aes_cbc
                                                         : digest_of(suite.integrity) != nullptr;
}

Protection::Protection(const crypto::Suite& suite, Secret key, Secret integrity_key)
    : state_(new State{suite, std::move(key), std::move(integrity_key)}) {
  assert(protects_ike(suite) && state_->key.size() == suite.key_bytes + std::size_t{suite.salt_bytes} &&
         state_->integrity_key.size() == suite.integrity_key_bytes);
  require(state_->context != nullptr);
}
Protection::~Protection() = default;
Protection::Protection(Protection&&) noexcept = default;
Protection& Protection::operator=(Protection&&) noexcept = default;

// IV, text, padding with its length, ICV.
std::size_t Protection::sealed_bytes(std::size_t text_bytes) const {
  const auto& suite = state_->suite;
  const std::size_t align = state_->is_aead() ? 1 : suite.align_bytes;
  const auto padded = (text_bytes + 1 + align - 1) / align * align;
  return suite.iv_bytes + padded + suite.icv_bytes;
}

// The longest text that is sealed within so many bytes.
std::size_t Protection::most_text(std::size_t room) const {
  const auto& suite = state_->suite;
  const std::size_t align = state_->is_aead() ? 1 : suite.align_bytes;
  const std::size_t fixed = std::size_t{suite.iv_bytes} + suite.icv_bytes;
  assert(room >= fixed + align);
  return (room - fixed) / align * align - 1;
}

// Behind the header of SK or SKF, which with all before it is authenticated.
void Protection::append_sealed(std::vector<std::uint8_t>& message, Bytes text) {
  auto& state = *state_;
  const auto& suite = state.suite;
  const auto associated = message.size();
  const auto sealed = sealed_bytes(text.size());
  message.resize(associated + sealed);
  const std::span<std::uint8_t> out = std::span(message).subspan(associated);
  const auto iv = out.first(suite.iv_bytes);
  const auto body = out.subspan(iv.size(), sealed - iv.size() - suite.icv_bytes);
  const auto icv = out.last(suite.icv_bytes);
  if (state.is_aead())
    net::store_be64(iv, 0, state.next_iv++);
  else
    require(RAND_bytes(iv.data(), size_of(iv)) == 1);  // what comes must not be foreseen with CBC

  Secret plain(body.size());
  std::ranges::copy(text, plain.writable().begin());
  plain.writable().back() = static_cast<std::uint8_t>(body.size() - text.size() - 1);
  auto* context = state.context.get();
  int size = 0;
  require(EVP_EncryptInit_ex2(context, evp_cipher(suite), state.cipher_key().data(), state.nonce(iv).data(),
                              nullptr) == 1 &&
          EVP_CIPHER_CTX_set_padding(context, 0) == 1);
  if (state.is_aead())
    require(EVP_EncryptUpdate(context, nullptr, &size, message.data(), static_cast<int>(associated)) == 1);
  require(EVP_EncryptUpdate(context, body.data(), &size, plain.bytes().data(), size_of(plain.bytes())) == 1);
  require(EVP_EncryptFinal_ex(context, body.data() + size, &size) == 1);
  if (state.is_aead()) {
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, size_of(icv), icv.data()) == 1);
  } else {
    const auto mac = state.mac(std::span(message).first(message.size() - icv.size()));
    std::copy_n(mac.bytes().begin(), icv.size(), icv.begin());
  }
}

namespace {

// The message up to what is sealed.
std::vector<std::uint8_t> begin_message(Header header, PayloadType type, PayloadType first,
                                        std::size_t fields, std::size_t sealed) {
  header.first = type;
  const auto payload = payload_header_bytes + fields + sealed;
  auto message = write_header(header, header_bytes + payload);
  message.resize(header_bytes + payload_header_bytes);
  message[header_bytes] = static_cast<std::uint8_t>(first);
  net::store_be16(message, header_bytes + 2, static_cast<std::uint16_t>(payload));
  return message;
}

}  // namespace

std::vector<std::uint8_t> Protection::seal(const Header& header, PayloadType first, Bytes payloads) {
  auto message = begin_message(header, PayloadType::encrypted, first, 0, sealed_bytes(payloads.size()));
  append_sealed(message, payloads);
  return message;
}

std::vector<std::vector<std::uint8_t>> Protection::seal_in_parts(const Header& header, PayloadType first,
                                                                 Bytes payloads, std::size_t most_bytes) {
  std::vector<std::vector<std::uint8_t>> messages;
  if (header_bytes + payload_header_bytes + sealed_bytes(payloads.size()) <= most_bytes) {
    messages.push_back(seal(header, first, payloads));
    return messages;
  }
  const auto part = most_text(most_bytes - header_bytes - payload_header_bytes - fragment_fields_bytes);
  const auto total = (payloads.size() + part - 1) / part;
  assert(part > 0 && total <= 0xffff);
  for (std::size_t i = 0; i < total; ++i) {
    const auto text = payloads.subspan(i * part, std::min(part, payloads.size() - i * part));
    auto message = begin_message(header, PayloadType::encrypted_fragment, i == 0 ? first : PayloadType::none,
                                 fragment_fields_bytes, sealed_bytes(text.size()));
    message.resize(message.size() + fragment_fields_bytes);
    const auto fields = std::span(message).last(fragment_fields_bytes);
    net::store_be16(fields, 0, static_cast<std::uint16_t>(i + 1));
    net::store_be16(fields, 2, static_cast<std::uint16_t>(total));
    append_sealed(message, text);
    messages.push_back(std::move(message));
  }
  return messages;
}

std::optional<std::vector<std::uint8_t>> Protection::open(Bytes datagram, Bytes content) {
  auto& state = *state_;
  const auto& suite = state.suite;
  const std::size_t align = state.is_aead() ? 1 : suite.align_bytes;
  if (content.size() < std::size_t{suite.iv_bytes} + align + suite.icv_bytes) return {};
  const auto iv = content.first(suite.iv_bytes);
  const auto body = content.subspan(iv.size(), content.size() - iv.size() - suite.icv_bytes);
  if (body.size() % align != 0) return {};
  std::array<std::uint8_t, 32> icv{};
  std::ranges::copy(content.last(suite.icv_bytes), icv.begin());
  if (!state.is_aead()) {
    const auto mac = state.mac(datagram.first(datagram.size() - suite.icv_bytes));
    if (!equal_secrets(Bytes(mac.bytes()).first(suite.icv_bytes), content.last(suite.icv_bytes))) return {};
  }

  std::vector<std::uint8_t> text(body.size());
  auto* context = state.context.get();
  int size = 0;
  require(EVP_DecryptInit_ex2(context, evp_cipher(suite), state.cipher_key().data(), state.nonce(iv).data(),
                              nullptr) == 1 &&
          EVP_CIPHER_CTX_set_padding(context, 0) == 1);
  if (state.is_aead()) {
    const auto associated = static_cast<int>(content.data() - datagram.data());
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, suite.icv_bytes, icv.data()) == 1 &&
            EVP_DecryptUpdate(context, nullptr, &size, datagram.data(), associated) == 1);
  }
  require(EVP_DecryptUpdate(context, text.data(), &size, body.data(), size_of(body)) == 1);
  if (EVP_DecryptFinal_ex(context, text.data() + size, &size) != 1) return {};
  // The padding's content is free; its length includes none of the byte that says it.
  const std::size_t padding = text.back();
  if (padding + 1 > text.size()) return {};
  text.resize(text.size() - padding - 1);
  return text;
}

}  // namespace espgate::ike
