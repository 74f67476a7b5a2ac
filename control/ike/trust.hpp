// Whose certificates we believe: CAs, and what they revoked. Checked by OpenSSL (RFC 5280) with what IKE adds
// (RFC 4945): key usage, and an identity that the certificate is for. Immutable; any thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <vector>

#include "control/ike/certificate.hpp"

struct x509_store_st;

namespace espgate::ike {

enum class Revocation : std::uint8_t {
  strict,      // each certificate below the CA needs a CRL of its issuer, not yet expired
  if_present,  // what a CRL revokes is refused; a CRL that is missing or old is no reason
  off,
};

class TrustStore {
 public:
  // Errors: no CA, or a certificate that is none.
  static Expected<TrustStore> make(std::vector<X509Certificate> authorities,
                                   std::vector<RevocationList> lists, Revocation revocation);

  // The data of CERTREQ: SHA-1 of each CA's key.
  const std::vector<std::uint8_t>& key_hashes() const { return key_hashes_; }

  // `sent`: the peer's CERT payloads in their order, its own certificate first. The key that it must have
  // signed with. Errors say which certificate, and what is wrong with it. CRLs that a peer sends are not
  // looked at: it would choose an old one.
  Expected<PublicKey> verify(std::span<const CertificateData> sent, const Identity& identity,
                             std::time_t now) const;

 private:
  TrustStore(std::shared_ptr<x509_store_st> store, std::vector<std::uint8_t> key_hashes,
             Revocation revocation)
      : store_(std::move(store)), key_hashes_(std::move(key_hashes)), revocation_(revocation) {}

  Expected<void> verify_chain(std::span<const X509Certificate> sent, std::time_t now) const;

  std::shared_ptr<x509_store_st> store_;
  std::vector<std::uint8_t> key_hashes_;
  Revocation revocation_;
};

}  // namespace espgate::ike
