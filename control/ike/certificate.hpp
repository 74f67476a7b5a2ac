// X.509 certificates and CRLs as values, and our own certificate with its key. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/ike/authenticator.hpp"
#include "control/ike/identity.hpp"
#include "control/ike/public_key.hpp"
#include "datapath/base/expected.hpp"

struct x509_st;
struct X509_crl_st;

namespace espgate::ike {

class X509Certificate {
 public:
  // The whole of `der`.
  static Expected<X509Certificate> from_der(std::span<const std::uint8_t> der);
  // All in a text of PEM, in its order; one at least. Other things between them do not matter.
  static Expected<std::vector<X509Certificate>> all_in_pem(std::span<const std::uint8_t> text);

  std::vector<std::uint8_t> der() const;
  std::string subject() const;
  // SHA-1 of its SubjectPublicKeyInfo, as CERTREQ names a CA (RFC 7296 3.7).
  std::vector<std::uint8_t> key_hash() const;
  bool is_authority() const;
  Expected<PublicKey> key() const;
  // Who it is for: its subject, if it has one, and its subject alternative names (RFC 4945 5.1.3, 5.1.1).
  std::vector<Identity> identities() const;

  x509_st* handle() const { return certificate_.get(); }

 private:
  explicit X509Certificate(x509_st* owned);

  std::shared_ptr<x509_st> certificate_;
};

class RevocationList {
 public:
  static Expected<std::vector<RevocationList>> all_in_pem(std::span<const std::uint8_t> text);
  static Expected<RevocationList> from_der(std::span<const std::uint8_t> der);

  std::vector<std::uint8_t> der() const;

  X509_crl_st* handle() const { return list_.get(); }

 private:
  explicit RevocationList(X509_crl_st* owned);

  std::shared_ptr<X509_crl_st> list_;
};

// Nothing when one of the certificate's identities is this one; else the error lists those that it has.
Expected<void> check_identity(const X509Certificate& certificate, const Identity& identity);

// Our certificate, those between it and its CA, and its private key.
class OwnCertificate {
 public:
  // `chain`: ours first. Errors: no certificate, too many, or the key is another's.
  static Expected<OwnCertificate> make(std::vector<X509Certificate> chain, PrivateKey key);

  const X509Certificate& certificate() const { return chain_.front(); }
  const PrivateKey& key() const { return key_; }
  // For CERT payloads, in order.
  const std::vector<CertificateData>& payloads() const { return payloads_; }

 private:
  OwnCertificate(std::vector<X509Certificate> chain, PrivateKey key);

  std::vector<X509Certificate> chain_;
  PrivateKey key_;
  std::vector<CertificateData> payloads_;
};

}  // namespace espgate::ike
