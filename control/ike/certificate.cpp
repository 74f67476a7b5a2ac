#include "control/ike/certificate.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "control/ike/distinguished_name.hpp"
#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t most_chain_certificates = 8;

// One object that fills `der`; null: it is none.
template <typename Object>
Object* decode(Bytes der, Object* (*d2i)(Object**, const unsigned char**, long), void (*release)(Object*)) {
  const std::uint8_t* at = der.data();
  Object* object = d2i(nullptr, &at, static_cast<long>(der.size()));
  if (object != nullptr && at != der.data() + der.size()) {
    release(object);
    return nullptr;
  }
  return object;
}

// All objects of one kind in PEM. `make` gives a value or an error for the DER of each.
template <typename Value, typename Make>
Expected<std::vector<Value>> all_of_kind(Bytes text, std::string_view label, std::string_view what,
                                         Make make) {
  const MemoryBio in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<Value> values;
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  while (in && PEM_read_bio(in.get(), &name, &header, &data, &size) == 1) {
    const bool wanted = label == name;
    auto value = wanted ? make(Bytes(data, static_cast<std::size_t>(size))) : Expected<Value>(Error{});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
    if (!wanted) continue;
    if (!value) return std::move(value).error();
    values.push_back(*std::move(value));
  }
  ERR_clear_error();
  if (values.empty())
    return Error{fmt::format("there is no {} in PEM form", what),
                 fmt::format("it begins with -----BEGIN {}-----", label)};
  return values;
}

Bytes bytes_of(const ASN1_STRING* text) {
  return {ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text))};
}

void add_alternative_name(const GENERAL_NAME* name, std::vector<Identity>& out) {
  int type = 0;
  const void* value = GENERAL_NAME_get0_value(name, &type);
  const auto add = [&](IdType id, Bytes data) { out.push_back({id, {data.begin(), data.end()}}); };
  switch (type) {
    case GEN_DNS:
      return add(IdType::fqdn, bytes_of(static_cast<const ASN1_STRING*>(value)));
    case GEN_EMAIL:
      return add(IdType::rfc822, bytes_of(static_cast<const ASN1_STRING*>(value)));
    case GEN_IPADD: {
      const auto address = bytes_of(static_cast<const ASN1_STRING*>(value));
      if (address.size() == 4 || address.size() == 16)
        add(address.size() == 4 ? IdType::ipv4 : IdType::ipv6, address);
      return;
    }
    case GEN_DIRNAME:
      return add(IdType::distinguished_name, der_of<i2d_X509_NAME>(static_cast<const X509_NAME*>(value)));
    default:
      return;
  }
}

}  // namespace

X509Certificate::X509Certificate(X509* owned) : certificate_(owned, X509_free) {}

Expected<X509Certificate> X509Certificate::from_der(Bytes der) {
  if (auto* certificate = decode<X509>(der, d2i_X509, X509_free)) return X509Certificate(certificate);
  return Error{fmt::format("{} bytes that are not an X.509 certificate ({})", der.size(), last_reason()),
               "let the peer send its certificate"};
}

Expected<std::vector<X509Certificate>> X509Certificate::all_in_pem(Bytes text) {
  return all_of_kind<X509Certificate>(text, PEM_STRING_X509, "certificate", from_der);
}

std::vector<std::uint8_t> X509Certificate::der() const {
  return der_of<i2d_X509>(handle());
}

std::string X509Certificate::subject() const {
  return distinguished_name_text(der_of<i2d_X509_NAME>(X509_get_subject_name(handle())));
}

std::vector<std::uint8_t> X509Certificate::key_hash() const {
  const auto info = der_of<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(handle()));
  std::vector<std::uint8_t> hash(SHA_DIGEST_LENGTH);
  SHA1(info.data(), info.size(), hash.data());
  return hash;
}

bool X509Certificate::is_authority() const {
  constexpr int by_basic_constraints = 1;  // other answers are guesses about certificates of old
  return X509_check_ca(handle()) == by_basic_constraints;
}

Expected<PublicKey> X509Certificate::key() const {
  auto* key = X509_get0_pubkey(handle());
  if (key == nullptr)
    return Error{fmt::format("the key of the certificate {} cannot be read ({})", subject(), last_reason()),
                 "use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519"};
  return PublicKey::of(key);
}

std::vector<Identity> X509Certificate::identities() const {
  std::vector<Identity> out;
  const auto* subject = X509_get_subject_name(handle());
  if (X509_NAME_entry_count(subject) != 0)
    out.push_back({IdType::distinguished_name, der_of<i2d_X509_NAME>(subject)});
  const GeneralNames names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(handle(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i)
    add_alternative_name(sk_GENERAL_NAME_value(names.get(), i), out);
  ERR_clear_error();
  return out;
}

RevocationList::RevocationList(X509_CRL* owned) : list_(owned, X509_CRL_free) {}

std::vector<std::uint8_t> RevocationList::der() const {
  return der_of<i2d_X509_CRL>(handle());
}

Expected<RevocationList> RevocationList::from_der(Bytes der) {
  if (auto* list = decode<X509_CRL>(der, d2i_X509_CRL, X509_CRL_free)) return RevocationList(list);
  return Error{fmt::format("{} bytes that are not a CRL ({})", der.size(), last_reason()),
               "get it anew from its CA"};
}

Expected<std::vector<RevocationList>> RevocationList::all_in_pem(Bytes text) {
  return all_of_kind<RevocationList>(text, PEM_STRING_X509_CRL, "CRL", from_der);
}

Expected<void> check_identity(const X509Certificate& certificate, const Identity& identity) {
  const auto has = certificate.identities();
  if (std::ranges::any_of(has, [&](const Identity& each) { return same_identity(each, identity); }))
    return {};
  constexpr std::size_t most_shown = 8;
  std::string list;
  for (std::size_t i = 0; i < std::min(has.size(), most_shown); ++i)
    list += fmt::format("{}{}", i == 0 ? "" : "; ", to_string(has[i]));
  if (has.size() > most_shown) list += fmt::format("; and {} more", has.size() - most_shown);
  return Error{fmt::format("identity {} is not in the certificate (it has: {})", to_string(identity),
                           list.empty() ? "none" : list),
               "use one of these as the identity, or a certificate with a subjectAltName for it"};
}

OwnCertificate::OwnCertificate(std::vector<X509Certificate> chain, PrivateKey key)
    : chain_(std::move(chain)), key_(std::move(key)) {
  for (const auto& certificate : chain_)
    payloads_.push_back({CertificateEncoding::x509_signature, certificate.der()});
}

Expected<OwnCertificate> OwnCertificate::make(std::vector<X509Certificate> chain, PrivateKey key) {
  if (chain.empty() || chain.size() > most_chain_certificates)
    return Error{
        fmt::format("{} certificates, and 1 to {} make a chain", chain.size(), most_chain_certificates),
        "put ours first, and then those between it and its CA"};
  const auto public_key = chain.front().key();
  if (!public_key) return public_key.error();
  if (!(*public_key == key.key()))
    return Error{fmt::format("the private key ({}) is not that of the certificate {} ({})", key.key().text(),
                             chain.front().subject(), public_key->text()),
                 "name the key that the certificate was made for; the first certificate must be ours"};
  return OwnCertificate(std::move(chain), std::move(key));
}

}  // namespace espgate::ike
