#include "control/ike/chain_error.hpp"

#include <fmt/format.h>

#include <ctime>

#include "control/ike/distinguished_name.hpp"
#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

std::string text_of(const X509_NAME* name) {
  return distinguished_name_text(der_of<i2d_X509_NAME>(name));
}

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "at a time that cannot be read";
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

Error revoked(const X509_CRL* list, const X509* certificate, const std::string& subject) {
  X509_REVOKED* entry = nullptr;
  std::string when;
  if (list != nullptr &&
      X509_CRL_get0_by_serial(const_cast<X509_CRL*>(list), &entry, X509_get0_serialNumber(certificate)) != 0)
    when = fmt::format(" {}", date_of(X509_REVOKED_get0_revocationDate(entry)));
  return {fmt::format("certificate revoked{}: {}", when, subject), "give the peer a new certificate"};
}

}  // namespace

Error chain_error(X509_STORE_CTX* context, const X509_CRL* list) {
  const int problem = X509_STORE_CTX_get_error(context);
  const auto* certificate = X509_STORE_CTX_get_current_cert(context);
  if (certificate == nullptr) return {X509_verify_cert_error_string(problem), "check the certificates"};
  const auto subject = text_of(X509_get_subject_name(certificate));
  const auto issuer = text_of(X509_get_issuer_name(certificate));
  switch (problem) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {fmt::format("certificate expired {}: {}", date_of(X509_get0_notAfter(certificate)), subject),
              "renew it, or correct this machine's clock"};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {fmt::format("certificate not valid before {}: {}", date_of(X509_get0_notBefore(certificate)),
                          subject),
              "wait, or correct this machine's clock"};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return {fmt::format("issuer not trusted: {} (of the certificate {})", issuer, subject),
              "add this CA's certificate if you trust it, or let the peer send those in between"};
    case X509_V_ERR_CERT_REVOKED:
      return revoked(list, certificate, subject);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return {fmt::format("no CRL of the issuer: {} (of the certificate {})", issuer, subject),
              "add the CA's CRL, or set revocation = \"if-present\""};
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return {fmt::format("CRL expired {}: {}",
                          list == nullptr ? "" : date_of(X509_CRL_get0_nextUpdate(list)), issuer),
              "get a new CRL from the CA, or set revocation = \"if-present\""};
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return {fmt::format("signature not good: of {} by {}", subject, issuer),
              "get the certificate anew from its CA"};
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_NON_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return {fmt::format("not a CA: {}", subject),
              "a certificate in the chain was issued by one that must not issue any"};
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
      return {fmt::format("key too short: of {}", subject), "use RSA of 2048 bits at least"};
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return {fmt::format("signed with a hash that is too weak (SHA-1 or MD5): {}", subject),
              "let its CA issue it anew with SHA-256"};
    default:
      return {fmt::format("{}: {}", X509_verify_cert_error_string(problem), subject),
              "check the certificates"};
  }
}

}  // namespace espgate::ike
