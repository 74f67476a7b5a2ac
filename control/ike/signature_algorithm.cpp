// AlgorithmIdentifiers (RFC 5280 4.1.1.2), as RFC 7427 appendix A lists them.
#include <fmt/format.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "control/ike/openssl.hpp"
#include "control/ike/signature.hpp"

namespace espgate::ike {
namespace {

using Algorithm = std::unique_ptr<X509_ALGOR, Release<X509_ALGOR_free>>;
using PssParameters = std::unique_ptr<RSA_PSS_PARAMS, Release<RSA_PSS_PARAMS_free>>;

// Whether there may be NULL for parameters, or must be nothing.
enum class Parameters : std::uint8_t { none, null_or_none };

struct Row {
  int nid;
  SignatureAlgorithm algorithm;
  Parameters parameters;
};
constexpr Row rows[] = {
    {NID_sha256WithRSAEncryption, {Scheme::rsa_pkcs1, Hash::sha2_256}, Parameters::null_or_none},
    {NID_sha384WithRSAEncryption, {Scheme::rsa_pkcs1, Hash::sha2_384}, Parameters::null_or_none},
    {NID_sha512WithRSAEncryption, {Scheme::rsa_pkcs1, Hash::sha2_512}, Parameters::null_or_none},
    {NID_ecdsa_with_SHA256, {Scheme::ecdsa, Hash::sha2_256}, Parameters::none},
    {NID_ecdsa_with_SHA384, {Scheme::ecdsa, Hash::sha2_384}, Parameters::none},
    {NID_ecdsa_with_SHA512, {Scheme::ecdsa, Hash::sha2_512}, Parameters::none},
    {NID_ED25519, {Scheme::ed25519, Hash::identity}, Parameters::none},
};

struct HashRow {
  int nid;
  Hash hash;
  long bytes;
};
constexpr HashRow hashes[] = {
    {NID_sha256, Hash::sha2_256, 32}, {NID_sha384, Hash::sha2_384, 48}, {NID_sha512, Hash::sha2_512, 64}};

Error refused(std::string what) {
  return {std::move(what), "let the peer sign with RSA-PSS, ECDSA or Ed25519, and SHA-2"};
}

// The type of an algorithm's parameters: V_ASN1_UNDEF without any.
int parameter_type(const X509_ALGOR* algorithm) {
  int type = V_ASN1_UNDEF;
  X509_ALGOR_get0(nullptr, &type, nullptr, algorithm);
  return type;
}

int nid_of(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  return OBJ_obj2nid(object);
}

const HashRow* hash_row(const X509_ALGOR* algorithm) {
  if (algorithm == nullptr) return nullptr;  // the default, SHA-1
  const int type = parameter_type(algorithm);
  if (type != V_ASN1_UNDEF && type != V_ASN1_NULL) return nullptr;
  const auto found = std::ranges::find(hashes, nid_of(algorithm), &HashRow::nid);
  return found == std::end(hashes) ? nullptr : &*found;
}

// Decodes what `value` holds, and demands that encoding it again gives the same: nothing but DER, no more
// behind it.
template <typename Owner, auto encode, typename Decode>
Owner exactly(std::span<const std::uint8_t> der, Decode decode) {
  const std::uint8_t* at = der.data();
  Owner owner(decode(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!owner || !std::ranges::equal(der_of<encode>(owner.get()), der)) return nullptr;
  return owner;
}

std::span<const std::uint8_t> sequence_in(const X509_ALGOR* algorithm) {
  const void* value = nullptr;
  int type = V_ASN1_UNDEF;
  X509_ALGOR_get0(nullptr, &type, &value, algorithm);
  if (type != V_ASN1_SEQUENCE) return {};
  const auto* text = static_cast<const ASN1_STRING*>(value);
  return {ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// RFC 4055 3.1: the hash twice, once for the mask, and how long the salt is.
Expected<SignatureAlgorithm> decode_pss(const X509_ALGOR* algorithm) {
  const auto parameters =
      exactly<PssParameters, i2d_RSA_PSS_PARAMS>(sequence_in(algorithm), d2i_RSA_PSS_PARAMS);
  if (!parameters) return refused("the parameters of RSA-PSS are not DER");
  const auto* hash = hash_row(parameters->hashAlgorithm);
  if (hash == nullptr) return refused("RSA-PSS with a hash that is not SHA2-256, SHA2-384 or SHA2-512");
  const auto* mask = parameters->maskGenAlgorithm;
  if (mask == nullptr || nid_of(mask) != NID_mgf1)
    return refused("RSA-PSS with a mask that is not MGF1 with SHA-2");
  const auto mask_hash = exactly<Algorithm, i2d_X509_ALGOR>(sequence_in(mask), d2i_X509_ALGOR);
  if (!mask_hash || hash_row(mask_hash.get()) != hash)
    return refused("RSA-PSS with a mask of another hash than the signature's");
  constexpr long default_salt_bytes = 20;
  const long salt =
      parameters->saltLength == nullptr ? default_salt_bytes : ASN1_INTEGER_get(parameters->saltLength);
  if (salt < 0 || salt > hash->bytes) return refused("RSA-PSS with a salt longer than its hash");
  if (parameters->trailerField != nullptr && ASN1_INTEGER_get(parameters->trailerField) != 1)
    return refused("RSA-PSS with another trailer than its RFC allows");
  return SignatureAlgorithm{Scheme::rsa_pss, hash->hash, static_cast<std::uint16_t>(salt)};
}

std::string_view name_of(Scheme scheme) {
  switch (scheme) {
    case Scheme::rsa_pss:
      return "RSA-PSS";
    case Scheme::rsa_pkcs1:
      return "RSA PKCS#1 v1.5";
    case Scheme::ecdsa:
      return "ECDSA";
    case Scheme::ed25519:
      break;
  }
  return "Ed25519";
}

}  // namespace

Expected<SignatureAlgorithm> decode_algorithm(std::span<const std::uint8_t> der) {
  const auto algorithm = exactly<Algorithm, i2d_X509_ALGOR>(der, d2i_X509_ALGOR);
  if (!algorithm) return refused("the signature's algorithm is not DER");
  const int nid = nid_of(algorithm.get());
  if (nid == NID_rsassaPss) return decode_pss(algorithm.get());
  const auto found = std::ranges::find(rows, nid, &Row::nid);
  if (found == std::end(rows)) {
    std::string name(80, '\0');
    const ASN1_OBJECT* object = nullptr;
    X509_ALGOR_get0(&object, nullptr, nullptr, algorithm.get());
    const int size = OBJ_obj2txt(name.data(), static_cast<int>(name.size()), object, 0);
    name.resize(size < 0 ? 0 : std::min(static_cast<std::size_t>(size), name.size() - 1));
    return refused(fmt::format("the signature's algorithm {} is not allowed here", name));
  }
  const int type = parameter_type(algorithm.get());
  if (type != V_ASN1_UNDEF && !(type == V_ASN1_NULL && found->parameters == Parameters::null_or_none))
    return refused("the signature's algorithm has parameters that do not belong there");
  return found->algorithm;
}

std::string to_string(const SignatureAlgorithm& algorithm) {
  const auto name = name_of(algorithm.scheme);
  if (algorithm.hash == Hash::identity) return std::string(name);
  const auto found = std::ranges::find(hashes, algorithm.hash, &HashRow::hash);
  return fmt::format("{} with SHA2-{}", name, 8 * found->bytes);
}

}  // namespace espgate::ike
