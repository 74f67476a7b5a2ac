#include "tests/control/ike/authority.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "control/ike/distinguished_name.hpp"
#include "control/ike/openssl.hpp"

namespace espgate::ike::test {
namespace {

void require(bool good) {
  if (!good) throw std::runtime_error("OpenSSL: " + last_reason());
}

Name name_of(const std::string& text) {
  const auto der = parse_distinguished_name(text);
  if (!der) throw std::runtime_error(der.error().text());
  const std::uint8_t* at = der->data();
  return Name(d2i_X509_NAME(nullptr, &at, static_cast<long>(der->size())));
}

const EVP_MD* digest_for(EVP_PKEY* key, const std::string& name) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_get_digestbyname(name.c_str());
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void add_unknown(X509* certificate) {
  const Object object(OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1));
  const std::unique_ptr<ASN1_OCTET_STRING, Release<ASN1_OCTET_STRING_free>> value(ASN1_OCTET_STRING_new());
  auto* extension = X509_EXTENSION_create_by_OBJ(nullptr, object.get(), 1, value.get());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// `issuer` null: signed with its own key.
X509Certificate make(const Wish& wish, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer) {
  std::unique_ptr<X509, Release<X509_free>> certificate(X509_new());
  auto* raw = certificate.get();
  const auto subject = name_of(wish.subject);
  require(X509_set_version(raw, X509_VERSION_3) == 1 &&
          ASN1_INTEGER_set(X509_get_serialNumber(raw), wish.serial) == 1 &&
          X509_set_subject_name(raw, subject.get()) == 1 &&
          X509_set_issuer_name(raw, issuer == nullptr ? subject.get() : X509_get_subject_name(issuer)) == 1 &&
          ASN1_TIME_set(X509_getm_notBefore(raw), wish.from) != nullptr &&
          ASN1_TIME_set(X509_getm_notAfter(raw), wish.to) != nullptr && X509_set_pubkey(raw, key) == 1);
  auto* above = issuer == nullptr ? raw : issuer;
  extend(raw, above, NID_basic_constraints, wish.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(raw, above, NID_key_usage, wish.key_usage);
  extend(raw, above, NID_ext_key_usage, wish.extended_key_usage);
  extend(raw, above, NID_subject_alt_name, wish.alternative_names);
  if (wish.unknown_critical) add_unknown(raw);
  require(X509_sign(raw, signer, digest_for(signer, wish.digest)) > 0);
  const auto made = X509Certificate::from_der(der_of<i2d_X509>(raw));
  if (!made) throw std::runtime_error(made.error().text());
  return *made;
}

Wish as_authority(const std::string& subject, Wish wish) {
  wish.subject = subject;
  wish.authority = true;
  if (wish.key_usage.empty()) wish.key_usage = "critical,keyCertSign,cRLSign";
  return wish;
}

template <typename Write>
std::string written(Write write) {
  const MemoryBio out(BIO_new(BIO_s_mem()));
  require(write(out.get()) == 1);
  const char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

KeyPair make_key(const std::string& kind) {
  const std::string rsa = "RSA-";
  EVP_PKEY* key = nullptr;
  if (kind.starts_with(rsa))
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{std::stoul(kind.substr(rsa.size()))});
  else if (kind.starts_with("ED"))
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str());
  else
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  require(key != nullptr);
  return {key, EVP_PKEY_free};
}

std::string pem_of(const KeyPair& key, const std::string& password) {
  return written([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(), password.empty() ? nullptr : EVP_aes_256_cbc(),
                                         password.data(), static_cast<int>(password.size()), nullptr,
                                         nullptr);
  });
}

std::string pem_of(const X509Certificate& certificate) {
  return written([&](BIO* out) { return PEM_write_bio_X509(out, certificate.handle()); });
}

std::string pem_of(const RevocationList& list) {
  return written([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list.handle()); });
}

PrivateKey private_key(const KeyPair& key) {
  const auto pem = pem_of(key);
  auto loaded = PrivateKey::from_pem({reinterpret_cast<const std::uint8_t*>(pem.data()), pem.size()});
  if (!loaded) throw std::runtime_error(loaded.error().text());
  return *std::move(loaded);
}

X509Certificate issue(const Wish& wish, const KeyPair& key, const X509Certificate& issuer,
                      const KeyPair& issuer_key) {
  return make(wish, key.get(), issuer.handle(), issuer_key.get());
}

Authority::Authority(const std::string& subject, Wish wish)
    : key_(make_key("P-256")),
      certificate_(make(as_authority(subject, std::move(wish)), key_.get(), nullptr, key_.get())) {}

Authority::Authority(const std::string& subject, const Authority& issuer, Wish wish)
    : key_(make_key("P-256")), certificate_(issuer.issue(as_authority(subject, std::move(wish)), key_)) {}

X509Certificate Authority::issue(const Wish& wish, const KeyPair& key) const {
  return test::issue(wish, key, certificate_, key_);
}

RevocationList Authority::revoke(std::vector<long> serials, std::time_t from, std::time_t to) const {
  std::unique_ptr<X509_CRL, Release<X509_CRL_free>> list(X509_CRL_new());
  std::unique_ptr<ASN1_TIME, Release<ASN1_TIME_free>> begin(ASN1_TIME_set(nullptr, from)),
      end(ASN1_TIME_set(nullptr, to));
  require(X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
          X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.handle())) == 1 &&
          X509_CRL_set1_lastUpdate(list.get(), begin.get()) == 1 &&
          X509_CRL_set1_nextUpdate(list.get(), end.get()) == 1);
  for (const long serial : serials) {
    std::unique_ptr<ASN1_INTEGER, Release<ASN1_INTEGER_free>> number(ASN1_INTEGER_new());
    auto* entry = X509_REVOKED_new();
    require(ASN1_INTEGER_set(number.get(), serial) == 1 &&
            X509_REVOKED_set_serialNumber(entry, number.get()) == 1 &&
            X509_REVOKED_set_revocationDate(entry, begin.get()) == 1 &&
            X509_CRL_add0_revoked(list.get(), entry) == 1);
  }
  require(X509_CRL_sort(list.get()) == 1 &&
          X509_CRL_sign(list.get(), key_.get(), digest_for(key_.get(), "SHA256")) > 0);
  auto made = RevocationList::from_der(der_of<i2d_X509_CRL>(list.get()));
  if (!made) throw std::runtime_error(made.error().text());
  return *std::move(made);
}

}  // namespace espgate::ike::test
