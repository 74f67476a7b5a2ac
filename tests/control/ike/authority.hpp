// Certificates for tests, made on the spot, so that none expires.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "control/ike/certificate.hpp"

struct evp_pkey_st;

namespace espgate::ike::test {

// The moment that tests take for now.
inline constexpr std::time_t now = 1'800'000'000;  // 2027-01-15
inline constexpr std::time_t day = 86'400;

using KeyPair = std::shared_ptr<evp_pkey_st>;
// "RSA-2048" or another size, "P-256" and other curves, "ED25519".
KeyPair make_key(const std::string& kind);
// PKCS#8; with a password it is encrypted.
std::string pem_of(const KeyPair& key, const std::string& password = "");
std::string pem_of(const X509Certificate& certificate);
std::string pem_of(const RevocationList& list);
PrivateKey private_key(const KeyPair& key);

struct Wish {
  std::string subject = "CN=gw.example.org";
  std::string alternative_names{};  // "DNS:gw.example.org,IP:192.0.2.1", as OpenSSL's configuration writes it
  std::string key_usage{};
  std::string extended_key_usage{};
  bool authority = false;
  std::time_t from = now - day;
  std::time_t to = now + day;
  std::string digest = "SHA256";
  long serial = 7;
  bool unknown_critical = false;  // has an extension that nobody knows
};

// Signed by whoever has that certificate and key, CA or not.
X509Certificate issue(const Wish& wish, const KeyPair& key, const X509Certificate& issuer,
                      const KeyPair& issuer_key);

class Authority {
 public:
  // A root.
  explicit Authority(const std::string& subject, Wish wish = {});
  // One below `issuer`.
  Authority(const std::string& subject, const Authority& issuer, Wish wish = {});

  X509Certificate issue(const Wish& wish, const KeyPair& key) const;
  RevocationList revoke(std::vector<long> serials, std::time_t from = now - day,
                        std::time_t to = now + day) const;
  const X509Certificate& certificate() const { return certificate_; }
  const KeyPair& key() const { return key_; }

 private:
  KeyPair key_;
  X509Certificate certificate_;
};

}  // namespace espgate::ike::test
