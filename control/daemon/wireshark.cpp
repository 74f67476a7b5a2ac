#include "control/daemon/wireshark.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

namespace espgate::daemon {
namespace {

const char* cipher_name(crypto::Cipher cipher) {
  switch (cipher) {
    case crypto::Cipher::null:
      return "NULL";
    case crypto::Cipher::aes_cbc:
      return "AES-CBC [RFC3602]";
    case crypto::Cipher::aes_ctr:
      return "AES-CTR [RFC3686]";
    case crypto::Cipher::aes_gcm_16:
      return "AES-GCM with 16 octet ICV [RFC4106]";
    case crypto::Cipher::aes_ccm_16:
    case crypto::Cipher::aes_gmac:
    case crypto::Cipher::chacha20_poly1305:
      break;
  }
  return nullptr;
}

const char* integrity_name(crypto::Integrity integrity) {
  switch (integrity) {
    case crypto::Integrity::by_cipher:
      break;
    case crypto::Integrity::hmac_sha1_96:
      return "HMAC-SHA-1-96 [RFC2404]";
    case crypto::Integrity::hmac_sha2_256_128:
      return "HMAC-SHA-256-128 [RFC4868]";
    case crypto::Integrity::hmac_sha2_384_192:
      return "HMAC-SHA-384-192 [RFC4868]";
    case crypto::Integrity::hmac_sha2_512_256:
      return "HMAC-SHA-512-256 [RFC4868]";
  }
  return "NULL";
}

std::string ike_cipher_name(const crypto::Suite& suite) {
  const auto bits = 8 * suite.key_bytes;
  if (suite.cipher == crypto::Cipher::aes_cbc) return fmt::format("AES-CBC-{} [RFC3602]", bits);
  if (suite.cipher == crypto::Cipher::aes_gcm_16)
    return fmt::format("AES-GCM-{} with 16 octet ICV [RFC5282]", bits);
  return {};
}

const char* ike_integrity_name(crypto::Integrity integrity) {
  switch (integrity) {
    case crypto::Integrity::by_cipher:
      break;
    case crypto::Integrity::hmac_sha1_96:
      return "HMAC_SHA1_96 [RFC2404]";
    case crypto::Integrity::hmac_sha2_256_128:
      return "HMAC_SHA2_256_128 [RFC4868]";
    case crypto::Integrity::hmac_sha2_384_192:
      return "HMAC_SHA2_384_192 [RFC4868]";
    case crypto::Integrity::hmac_sha2_512_256:
      return "HMAC_SHA2_512_256 [RFC4868]";
  }
  return "NONE [RFC4306]";
}

std::string hexadecimal(std::span<const std::uint8_t> key) {
  return fmt::format("{:02x}", fmt::join(key, ""));
}

std::string key_text(std::span<const std::uint8_t> key) {
  return key.empty() ? std::string() : fmt::format("0x{}", hexadecimal(key));
}

}  // namespace

std::optional<std::string> wireshark_row(const config::Connection& connection, const config::ManualSa& sa,
                                         bool inbound) {
  const auto& suite = crypto::suite(connection.suite);
  const auto* cipher = cipher_name(suite.cipher);
  if (cipher == nullptr) return std::nullopt;
  const bool moves = connection.encapsulation == config::Encapsulation::udp && connection.follow_peer;
  const std::string local = net::to_string(connection.local);
  const std::string remote = moves ? "*" : net::to_string(connection.remote);
  // The salt belongs to the cipher's key, there as here.
  const std::span keymat(sa.keymat.bytes());
  const auto cipher_bytes = static_cast<std::size_t>(suite.key_bytes) + suite.salt_bytes;
  return fmt::format(R"("{}","{}","{}","0x{:08x}","{}","{}","{}","{}")",
                     connection.local.family == net::Family::v4 ? "IPv4" : "IPv6", inbound ? remote : local,
                     inbound ? local : remote, sa.spi, cipher, key_text(keymat.first(cipher_bytes)),
                     integrity_name(suite.integrity), key_text(keymat.subspan(cipher_bytes)));
}

std::optional<std::string> wireshark_row(const ike::Spis& spis, const crypto::Suite& suite,
                                         const ike::SaKeys& keys) {
  const auto cipher = ike_cipher_name(suite);
  if (cipher.empty()) return std::nullopt;
  return fmt::format(R"({:016x},{:016x},{},{},"{}",{},{},"{}")", spis.initiator, spis.responder,
                     hexadecimal(keys.encryption_initiator.bytes()),
                     hexadecimal(keys.encryption_responder.bytes()), cipher,
                     hexadecimal(keys.integrity_initiator.bytes()),
                     hexadecimal(keys.integrity_responder.bytes()), ike_integrity_name(suite.integrity));
}

}  // namespace espgate::daemon
