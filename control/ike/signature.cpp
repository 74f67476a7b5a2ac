#include "control/ike/signature.hpp"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <new>
#include <optional>

#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

using Bytes = std::span<const std::uint8_t>;

// In the order in which they are offered.
constexpr Hash all_hashes[] = {Hash::sha2_256, Hash::sha2_384, Hash::sha2_512, Hash::identity};

// Null: what is signed is not hashed.
const char* digest_name(Hash hash) {
  switch (hash) {
    case Hash::sha2_256:
      return "SHA2-256";
    case Hash::sha2_384:
      return "SHA2-384";
    case Hash::sha2_512:
      return "SHA2-512";
    case Hash::identity:
      break;
  }
  return nullptr;
}

Scheme scheme_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa:
      return Scheme::rsa_pss;
    case KeyKind::ed25519:
      return Scheme::ed25519;
    case KeyKind::ecdsa_256:
    case KeyKind::ecdsa_384:
    case KeyKind::ecdsa_521:
      break;
  }
  return Scheme::ecdsa;
}

// The hash that is as strong as the key, and what else it may be signed with.
std::span<const Hash> hashes_for(KeyKind kind) {
  static constexpr Hash from_256[] = {Hash::sha2_256, Hash::sha2_384, Hash::sha2_512};
  static constexpr Hash from_384[] = {Hash::sha2_384, Hash::sha2_512, Hash::sha2_256};
  static constexpr Hash from_512[] = {Hash::sha2_512, Hash::sha2_384, Hash::sha2_256};
  static constexpr Hash alone[] = {Hash::identity};
  switch (kind) {
    case KeyKind::ecdsa_384:
      return from_384;
    case KeyKind::ecdsa_521:
      return from_512;
    case KeyKind::ed25519:
      return alone;
    case KeyKind::rsa:
    case KeyKind::ecdsa_256:
      break;
  }
  return from_256;
}

bool set_padding(EVP_PKEY_CTX* context, Scheme scheme, int salt_bytes) {
  if (scheme == Scheme::rsa_pkcs1) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  if (scheme != Scheme::rsa_pss) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt_bytes) == 1;
}

// OpenSSL writes the AlgorithmIdentifier of what it is about to do.
std::vector<std::uint8_t> algorithm_of(EVP_PKEY_CTX* context) {
  std::array<std::uint8_t, 128> der{};
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der.data(), der.size()),
      OSSL_PARAM_construct_end()};
  require(EVP_PKEY_CTX_get_params(context, parameters) == 1 && parameters[0].return_size <= der.size());
  return {der.begin(), der.begin() + static_cast<std::ptrdiff_t>(parameters[0].return_size)};
}

}  // namespace

HashSet::HashSet(std::initializer_list<Hash> hashes) {
  for (const auto hash : hashes) bits_ |= 1U << static_cast<unsigned>(hash);
}

HashSet HashSet::ours() {
  return {Hash::sha2_256, Hash::sha2_384, Hash::sha2_512, Hash::identity};
}

HashSet HashSet::of(std::span<const std::uint16_t> ids) {
  HashSet set;
  for (const auto hash : all_hashes)
    if (std::ranges::find(ids, static_cast<std::uint16_t>(hash)) != ids.end())
      set.bits_ |= 1U << static_cast<unsigned>(hash);
  return set;
}

std::vector<std::uint16_t> HashSet::ids() const {
  std::vector<std::uint16_t> ids;
  for (const auto hash : all_hashes)
    if (has(hash)) ids.push_back(static_cast<std::uint16_t>(hash));
  return ids;
}

Expected<std::vector<std::uint8_t>> sign(const PrivateKey& key, const HashSet& peer_accepts, Bytes octets) {
  const auto kind = key.key().kind();
  const auto candidates = hashes_for(kind);
  const auto hash =
      std::ranges::find_if(candidates, [&](Hash candidate) { return peer_accepts.has(candidate); });
  if (hash == candidates.end())
    return Error{fmt::format("the peer accepts no signature that our {} key can make: {} was not among its "
                             "SIGNATURE_HASH_ALGORITHMS",
                             key.key().text(), kind == KeyKind::ed25519 ? "Identity" : "SHA-2"),
                 "let it accept RFC 7427 signatures with this hash, or use another key or a pre-shared key"};

  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // the digest context's
  require(context &&
          EVP_DigestSignInit_ex(context.get(), &key_context, digest_name(*hash), nullptr, nullptr,
                                key.key().handle(), nullptr) == 1 &&
          set_padding(key_context, scheme_of(kind), RSA_PSS_SALTLEN_DIGEST));
  auto data = algorithm_of(key_context);
  const auto algorithm_bytes = data.size();
  std::size_t size = 0;
  require(EVP_DigestSign(context.get(), nullptr, &size, octets.data(), octets.size()) == 1);
  std::vector<std::uint8_t> out(1 + algorithm_bytes + size);
  out[0] = static_cast<std::uint8_t>(algorithm_bytes);
  std::ranges::copy(data, out.begin() + 1);
  require(EVP_DigestSign(context.get(), out.data() + 1 + algorithm_bytes, &size, octets.data(),
                         octets.size()) == 1);
  out.resize(1 + algorithm_bytes + size);
  return out;
}

Expected<SignatureAlgorithm> verify(const PublicKey& key, Bytes auth_data, Bytes octets) {
  const std::size_t algorithm_bytes = auth_data.empty() ? 0 : auth_data[0];
  if (algorithm_bytes == 0 || 1 + algorithm_bytes >= auth_data.size())
    return Error{"the AUTH payload is too short for a signature and its algorithm", "see the peer's log"};
  auto algorithm = decode_algorithm(auth_data.subspan(1, algorithm_bytes));
  if (!algorithm) return algorithm;
  const auto scheme = scheme_of(key.kind());
  if (algorithm->scheme != scheme && !(scheme == Scheme::rsa_pss && algorithm->scheme == Scheme::rsa_pkcs1))
    return Error{fmt::format("the signature's algorithm {} does not go with the certificate's {} key",
                             to_string(*algorithm), key.text()),
                 "check which private key the peer signs with"};
  const auto signature = auth_data.subspan(1 + algorithm_bytes);
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  require(context != nullptr);
  // A key that is bound to RSA-PSS with its own parameters refuses others.
  const bool good =
      EVP_DigestVerifyInit_ex(context.get(), &key_context, digest_name(algorithm->hash), nullptr, nullptr,
                              key.handle(), nullptr) == 1 &&
      set_padding(key_context, algorithm->scheme, algorithm->salt_bytes) &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), octets.data(), octets.size()) == 1;
  ERR_clear_error();
  if (!good)
    return Error{
        fmt::format("the {} signature is not good", to_string(*algorithm)),
        "the peer's private key is not that of its certificate, or the messages were changed on the way"};
  return algorithm;
}

}  // namespace espgate::ike
