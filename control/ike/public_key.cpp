#include "control/ike/public_key.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>

#include <array>
#include <optional>
#include <string_view>

#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

constexpr int least_rsa_bits = 2'048;
constexpr int most_rsa_bits = 8'192;

// None: not a kind that signs here.
std::optional<KeyKind> kind_of(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1) return KeyKind::rsa;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return KeyKind::ed25519;
  if (EVP_PKEY_is_a(key, "EC") != 1) return {};
  std::array<char, 80> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) return {};
  const std::string_view name = group.data();
  if (name == "prime256v1") return KeyKind::ecdsa_256;
  if (name == "secp384r1") return KeyKind::ecdsa_384;
  if (name == "secp521r1") return KeyKind::ecdsa_521;
  return {};
}

// PEM asks for the password of an encrypted key by this.
int note_encryption(char*, int, int, void* encrypted) {
  *static_cast<bool*>(encrypted) = true;
  return -1;
}

}  // namespace

Expected<PublicKey> PublicKey::of(EVP_PKEY* key) {
  const auto kind = kind_of(key);
  if (!kind) {
    const char* name = EVP_PKEY_get0_type_name(key);
    ERR_clear_error();
    return Error{
        fmt::format("a key of type {}, or on a curve, that cannot sign here", name == nullptr ? "?" : name),
        "use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519"};
  }
  const int bits = EVP_PKEY_get_bits(key);
  if (*kind == KeyKind::rsa && (bits < least_rsa_bits || bits > most_rsa_bits))
    return Error{
        fmt::format("an RSA key of {} bits, and {} to {} are allowed", bits, least_rsa_bits, most_rsa_bits),
        "make a new key, of 3072 bits"};
  EVP_PKEY_up_ref(key);
  return PublicKey({key, EVP_PKEY_free}, *kind);
}

std::string PublicKey::text() const {
  switch (kind_) {
    case KeyKind::ecdsa_256:
      return "ECDSA P-256";
    case KeyKind::ecdsa_384:
      return "ECDSA P-384";
    case KeyKind::ecdsa_521:
      return "ECDSA P-521";
    case KeyKind::ed25519:
      return "Ed25519";
    case KeyKind::rsa:
      break;
  }
  return fmt::format("RSA-{}", EVP_PKEY_get_bits(handle()));
}

bool PublicKey::operator==(const PublicKey& other) const {
  return EVP_PKEY_eq(handle(), other.handle()) == 1;
}

Expected<PrivateKey> PrivateKey::from_pem(std::span<const std::uint8_t> text) {
  const MemoryBio in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  bool encrypted = false;
  const Key key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, note_encryption, &encrypted) : nullptr);
  if (encrypted) {
    ERR_clear_error();
    return Error{"the private key is encrypted, and there is nobody to ask for its password",
                 "decrypt it with: openssl pkey -in FILE -out NEW, and chmod 600 NEW"};
  }
  if (!key)
    return Error{fmt::format("there is no private key in PEM form ({})", last_reason()),
                 "it begins with -----BEGIN PRIVATE KEY-----"};
  auto checked = PublicKey::of(key.get());
  if (!checked) return std::move(checked).error();
  return PrivateKey(*std::move(checked));
}

}  // namespace espgate::ike
