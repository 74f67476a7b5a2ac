#include "control/ike/trust.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "control/ike/chain_error.hpp"
#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

// Of a peer that has yet to show who it is.
constexpr std::size_t most_sent_certificates = 10;
constexpr std::size_t most_sent_bytes = 16'384;
constexpr int most_intermediates = 8;
// 112 bits: no SHA-1, no RSA below 2048 bits, in the whole chain.
constexpr int security_level = 2;

using Stack = std::unique_ptr<STACK_OF(X509), Release<[](STACK_OF(X509) * stack) { sk_X509_free(stack); }>>;
using KeyPurposes = std::unique_ptr<EXTENDED_KEY_USAGE, Release<EXTENDED_KEY_USAGE_free>>;

struct Judgement {
  Revocation revocation;
  X509_CRL* list = nullptr;  // that was looked at when it failed, which OpenSSL forgets; owned by the store
};

// What OpenSSL holds against a chain, and we may not: the CA itself was not revoked by anybody above it, and
// CRLs that are not there, or old, matter to the strict only.
int forgive(int good, X509_STORE_CTX* context) {
  if (good == 1) return 1;
  auto& judgement = *static_cast<Judgement*>(X509_STORE_CTX_get_app_data(context));
  const int problem = X509_STORE_CTX_get_error(context);
  const bool missing = problem == X509_V_ERR_UNABLE_TO_GET_CRL;
  const bool untimely = problem == X509_V_ERR_CRL_HAS_EXPIRED || problem == X509_V_ERR_CRL_NOT_YET_VALID;
  const int top = sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
  const bool of_anchor = X509_STORE_CTX_get_error_depth(context) == top;
  if ((missing && of_anchor) || ((missing || untimely) && judgement.revocation == Revocation::if_present)) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  judgement.list = X509_STORE_CTX_get0_current_crl(context);
  return 0;
}

// RFC 4945 5.1.3.2 and 5.1.3.12; certificates of TLS servers and clients are in use for IKE as well.
Expected<void> check_usage(const X509Certificate& certificate) {
  constexpr std::uint32_t signing = KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION;
  if ((X509_get_key_usage(certificate.handle()) & signing) == 0)
    return Error{
        fmt::format("the key usage of the certificate {} does not include signatures", certificate.subject()),
        "make it with keyUsage = digitalSignature"};
  const KeyPurposes purposes(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate.handle(), NID_ext_key_usage, nullptr, nullptr)));
  if (!purposes) return {};
  for (int i = 0; i < sk_ASN1_OBJECT_num(purposes.get()); ++i) {
    const int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(purposes.get(), i));
    if (nid == NID_ipsec_IKE || nid == NID_anyExtendedKeyUsage || nid == NID_server_auth ||
        nid == NID_client_auth)
      return {};
  }
  return Error{fmt::format("the extended key usage of the certificate {} includes neither IKE nor TLS",
                           certificate.subject()),
               "make it with extendedKeyUsage = ipsecIKE, or without any"};
}

Expected<std::vector<X509Certificate>> read_sent(std::span<const CertificateData> sent) {
  std::vector<X509Certificate> certificates;
  for (const auto& payload : sent) {
    if (payload.encoding != CertificateEncoding::x509_signature) continue;
    if (certificates.size() == most_sent_certificates || payload.data.size() > most_sent_bytes)
      return Error{fmt::format("the peer sent more than {} certificates, or one of more than {} bytes",
                               most_sent_certificates, most_sent_bytes),
                   "let it send its own and those below the CA"};
    auto certificate = X509Certificate::from_der(payload.data);
    if (!certificate) return std::move(certificate).error();
    certificates.push_back(*std::move(certificate));
  }
  if (certificates.empty())
    return Error{"the peer sent no X.509 certificate",
                 "let it send its certificate (strongSwan: send_cert = always)"};
  return certificates;
}

}  // namespace

Expected<TrustStore> TrustStore::make(std::vector<X509Certificate> authorities,
                                      std::vector<RevocationList> lists, Revocation revocation) {
  if (authorities.empty()) return Error{"there is no CA certificate", "name one at least"};
  std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
  require(store != nullptr);
  std::vector<std::uint8_t> key_hashes;
  for (const auto& authority : authorities) {
    if (!authority.is_authority())
      return Error{fmt::format("the certificate {} is not a CA's", authority.subject()),
                   "name the certificate of the CA that issued the peer's, with basicConstraints = CA:true"};
    require(X509_STORE_add_cert(store.get(), authority.handle()) == 1);
    const auto hash = authority.key_hash();
    std::ranges::copy(hash, std::back_inserter(key_hashes));
  }
  for (const auto& list : lists) require(X509_STORE_add_crl(store.get(), list.handle()) == 1);
  return TrustStore(std::move(store), std::move(key_hashes), revocation);
}

Expected<PublicKey> TrustStore::verify(std::span<const CertificateData> sent, const Identity& identity,
                                       std::time_t now) const {
  const auto certificates = read_sent(sent);
  if (!certificates) return certificates.error();
  if (const auto chain = verify_chain(*certificates, now); !chain) return chain.error();
  const auto& own = certificates->front();
  if (const auto usage = check_usage(own); !usage) return usage.error();
  if (const auto named = check_identity(own, identity); !named) return named.error();
  return own.key();
}

Expected<void> TrustStore::verify_chain(std::span<const X509Certificate> sent, std::time_t now) const {
  const Stack untrusted(sk_X509_new_null());
  require(untrusted != nullptr);
  for (const auto& certificate : sent.subspan(1))
    require(sk_X509_push(untrusted.get(), certificate.handle()) > 0);
  const StoreContext context(X509_STORE_CTX_new());
  require(context &&
          X509_STORE_CTX_init(context.get(), store_.get(), sent.front().handle(), untrusted.get()) == 1);
  auto* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now);
  X509_VERIFY_PARAM_set_depth(parameters, most_intermediates);
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  // What the operator names is trusted, whoever issued it.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST;
  if (revocation_ != Revocation::off) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(parameters, flags);
  Judgement judgement{revocation_};
  X509_STORE_CTX_set_app_data(context.get(), &judgement);
  X509_STORE_CTX_set_verify_cb(context.get(), forgive);
  const bool good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!good) return chain_error(context.get(), judgement.list);
  return {};
}

}  // namespace espgate::ike
