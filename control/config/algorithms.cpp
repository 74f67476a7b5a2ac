#include "control/config/algorithms.hpp"

#include <algorithm>
#include <iterator>

#include "control/ike/key_exchange.hpp"
#include "control/ike/protection.hpp"

namespace espgate::config {
namespace {

using Kind = AlgorithmKind;

constexpr Algorithm refused_names[] = {
    {.kind = Kind::key_exchange, .name = "modp768", .refused = "its key exchange can be broken"},
    {.kind = Kind::key_exchange, .name = "modp1024", .refused = "its key exchange can be broken"},
    {.kind = Kind::key_exchange, .name = "modp1536", .refused = "its key exchange is too weak (RFC 8247)"},
    {.kind = Kind::key_exchange,
     .name = "modp1024s160",
     .refused = "its key exchange may have a back door (RFC 8247)"},
    {.kind = Kind::key_exchange,
     .name = "modp2048s224",
     .refused = "its key exchange may have a back door (RFC 8247)"},
    {.kind = Kind::key_exchange,
     .name = "modp2048s256",
     .refused = "its key exchange may have a back door (RFC 8247)"},
    {.kind = Kind::key_exchange, .name = "ecp192", .refused = "its key exchange is too weak"},
    {.kind = Kind::key_exchange, .name = "ecp224", .refused = "its key exchange is too weak"},
    {.kind = Kind::prf, .name = "md5", .refused = "MD5 is broken"},
    {.kind = Kind::prf, .name = "sha1", .refused = "SHA-1 is broken"},
    {.kind = Kind::prf, .name = "sha", .refused = "SHA-1 is broken"},
    {.kind = Kind::suite, .name = "des", .refused = "DES is broken"},
    {.kind = Kind::suite, .name = "3des", .refused = "its blocks are too short (RFC 8221)"},
    {.kind = Kind::suite, .name = "blowfish", .refused = "its blocks are too short (RFC 8221)"},
};

constexpr std::string_view missing = "this OpenSSL does not have it, and 3.5 or later does";

Algorithm described(const crypto::Suite& each) {
  const auto refused = weakness_for_ike(each);
  return {Kind::suite, each.name, refused.empty(), weakness_of(each).empty(), refused};
}

}  // namespace

std::string_view name(AlgorithmKind kind) {
  switch (kind) {
    case Kind::suite:
      return "suite";
    case Kind::prf:
      return "prf";
    case Kind::key_exchange:
      break;
  }
  return "key-exchange";
}

std::string_view why_refused(std::string_view name) {
  if (std::ranges::count(ike::missing_key_exchanges(), name) != 0) return missing;
  // None of them has a hyphen, but "3des-sha1" has them in its parts.
  for (std::size_t begin = 0; begin < name.size();) {
    const auto end = std::min(name.find('-', begin), name.size());
    const auto* found = std::ranges::find(refused_names, name.substr(begin, end - begin), &Algorithm::name);
    if (found != std::end(refused_names)) return found->refused;
    begin = end + 1;
  }
  return "";
}

// What is negotiated protects: an SA without encryption is for manual keys only.
std::string_view weakness_of(const crypto::Suite& suite) {
  if (suite.cipher == crypto::Cipher::null || suite.cipher == crypto::Cipher::aes_gmac)
    return "it does not encrypt";
  if (suite.integrity == crypto::Integrity::hmac_sha1_96) return "SHA-1 is broken";
  return "";
}

std::string_view weakness_for_ike(const crypto::Suite& suite) {
  const auto weakness = weakness_of(suite);
  return weakness.empty() && !ike::protects_ike(suite) ? "IKE itself is not protected by it here" : weakness;
}

std::string_view why_not_alone(const ike::KeyExchangeMethod& method) {
  return ike::is_encapsulation(method) ? "it is an additional key exchange only (RFC 9370)" : "";
}

std::vector<Algorithm> known_algorithms() {
  std::vector<Algorithm> all;
  for (const auto& each : crypto::suites()) all.push_back(described(each));
  for (const auto name : prf_names) all.push_back({Kind::prf, name, true, false, ""});
  for (const auto& method : ike::key_exchange_methods()) {
    const auto refused = why_not_alone(method);
    all.push_back({Kind::key_exchange, method.name, refused.empty(), refused.empty(), refused});
  }
  for (const auto name : ike::missing_key_exchanges())
    all.push_back({.kind = Kind::key_exchange, .name = name, .refused = missing});
  std::ranges::copy(refused_names, std::back_inserter(all));
  std::ranges::stable_sort(all, {}, &Algorithm::kind);
  return all;
}

ike::IkeAlgorithms preset_algorithms() {
  using crypto::SuiteId;
  return {{SuiteId::aes_gcm_16_256, SuiteId::aes_gcm_16_128, SuiteId::chacha20_poly1305,
           SuiteId::aes_cbc_256_sha256},
          {std::begin(prfs), std::end(prfs)},
          {31, 19, 20, 15, 14}};
}

}  // namespace espgate::config
