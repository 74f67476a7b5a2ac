#include "control/ike/signature.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <catch2/catch.hpp>

#include "control/ike/openssl.hpp"
#include "tests/control/ike/authority.hpp"
#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

const auto octets = hex("00112233445566778899aabbccddeeff");

// Appendix A of RFC 7427, and its parts.
constexpr auto sha256 = "300d 0609608648016503040201 0500";
constexpr auto sha256_bare = "300b 0609608648016503040201";
constexpr auto sha1 = "3009 06052b0e03021a 0500";

std::vector<std::uint8_t> tlv(std::uint8_t tag, std::vector<std::uint8_t> content) {
  content.insert(content.begin(), {tag, static_cast<std::uint8_t>(content.size())});
  return content;
}

std::vector<std::uint8_t> operator+(std::vector<std::uint8_t> a, const std::vector<std::uint8_t>& b) {
  std::ranges::copy(b, std::back_inserter(a));
  return a;
}

// RSA-PSS with a hash, a mask's hash, a salt's length and more.
std::vector<std::uint8_t> pss(std::string_view hash, std::string_view mask_hash,
                              std::vector<std::uint8_t> rest) {
  const auto mask = tlv(0x30, hex("06092a864886f70d010108") + hex(mask_hash));
  return tlv(0x30, hex("06092a864886f70d01010a") +
                       tlv(0x30, tlv(0xa0, hex(hash)) + tlv(0xa1, mask) + std::move(rest)));
}

std::string refusal(const std::vector<std::uint8_t>& der) {
  const auto algorithm = decode_algorithm(der);
  REQUIRE_FALSE(algorithm);
  return algorithm.error().what;
}

PublicKey public_key(const KeyPair& key) {
  return *PublicKey::of(key.get());
}

const auto all = HashSet::ours();

// AUTH's data with a signature that OpenSSL makes as it is told.
std::vector<std::uint8_t> rsa_auth(const KeyPair& key, std::string_view algorithm, int padding, int salt,
                                   const char* digest = "SHA2-256") {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  REQUIRE(EVP_DigestSignInit_ex(context.get(), &key_context, digest, nullptr, nullptr, key.get(), nullptr) ==
          1);
  REQUIRE(EVP_PKEY_CTX_set_rsa_padding(key_context, padding) == 1);
  if (padding == RSA_PKCS1_PSS_PADDING) REQUIRE(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, salt) == 1);
  std::vector<std::uint8_t> signature(512);
  std::size_t size = signature.size();
  REQUIRE(EVP_DigestSign(context.get(), signature.data(), &size, octets.data(), octets.size()) == 1);
  signature.resize(size);
  const auto der = hex(algorithm);
  return std::vector<std::uint8_t>{static_cast<std::uint8_t>(der.size())} + der + signature;
}

}  // namespace

TEST_CASE("each kind of key signs, with the hash that goes with it, and its signature is good") {
  const struct {
    const char* kind;
    const char* algorithm;
    std::string der;
  } cases[] = {
      {"RSA-2048", "RSA-PSS with SHA2-256",
       "3041 06092a864886f70d01010a 3034 a00f 300d06096086480165030402010500"
       "a11c 301a 06092a864886f70d010108 300d06096086480165030402010500 a203 020120"},
      {"P-256", "ECDSA with SHA2-256", "300a 06082a8648ce3d040302"},
      {"P-384", "ECDSA with SHA2-384", "300a 06082a8648ce3d040303"},
      {"P-521", "ECDSA with SHA2-512", "300a 06082a8648ce3d040304"},
      {"ED25519", "Ed25519", "3005 06032b6570"},
  };
  for (const auto& example : cases) {
    CAPTURE(example.kind);
    const auto key = make_key(example.kind);
    const auto data = sign(private_key(key), all, octets);
    REQUIRE(data);
    const auto der = hex(example.der);
    REQUIRE(data->size() > 1 + der.size());
    CHECK((*data)[0] == der.size());
    CHECK(std::vector<std::uint8_t>(data->begin() + 1, data->begin() + 1 + static_cast<int>(der.size())) ==
          der);
    const auto good = verify(public_key(key), *data, octets);
    REQUIRE(good);
    CHECK(to_string(*good) == example.algorithm);

    // Neither other octets, nor another key, nor any changed byte.
    auto other = octets;
    other.back() ^= 1;
    CHECK_FALSE(verify(public_key(key), *data, other));
    CHECK_FALSE(verify(public_key(make_key(example.kind)), *data, octets));
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}, der.size(), data->size() - 1}) {
      auto changed = *data;
      changed[at] ^= 1;
      CHECK_FALSE(verify(public_key(key), changed, octets));
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, der.size() + 1, data->size() - 1})
      CHECK_FALSE(verify(public_key(key), std::span(*data).first(size), octets));
  }
}

TEST_CASE("Ed25519 signs the octets themselves (RFC 8032 7.1, test 3)") {
  const auto pem = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3
-----END PRIVATE KEY-----
)";
  const auto key = PrivateKey::from_pem({reinterpret_cast<const std::uint8_t*>(pem), strlen(pem)});
  REQUIRE(key);
  const auto data = sign(*key, all, hex("af82"));
  REQUIRE(data);
  CHECK(std::vector<std::uint8_t>(data->end() - 64, data->end()) ==
        hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"));
}

TEST_CASE("the peer's hashes decide with which one we sign, or whether at all") {
  const auto signs_with = [](const char* kind, const HashSet& accepted) {
    const auto key = make_key(kind);
    const auto data = sign(private_key(key), accepted, octets);
    if (!data) return data.error().what;
    return to_string(*verify(public_key(key), *data, octets));
  };
  CHECK(signs_with("RSA-2048", {Hash::sha2_512, Hash::sha2_384}) == "RSA-PSS with SHA2-384");
  CHECK(signs_with("RSA-2048", {Hash::sha2_512}) == "RSA-PSS with SHA2-512");
  CHECK(signs_with("P-384", {Hash::sha2_256}) == "ECDSA with SHA2-256");
  CHECK(signs_with("P-521", {Hash::sha2_256, Hash::sha2_384}) == "ECDSA with SHA2-384");
  CHECK_THAT(signs_with("P-256", {Hash::identity}), Catch::Contains("SHA-2 was not among"));
  CHECK_THAT(signs_with("ED25519", {Hash::sha2_256}), Catch::Contains("Identity was not among"));
  CHECK_THAT(signs_with("RSA-2048", {}), Catch::Contains("RSA-2048 key"));
}

TEST_CASE("hashes are announced by their numbers, and unknown ones left out") {
  CHECK(HashSet::ours().ids() == std::vector<std::uint16_t>{2, 3, 4, 5});
  const std::uint16_t sent[] = {1, 2, 5, 6, 0x1002};
  CHECK(HashSet::of(sent) == HashSet{Hash::sha2_256, Hash::identity});
  CHECK(HashSet::of({}) == HashSet{});
}

TEST_CASE("RSA PKCS#1 v1.5 with SHA-2 is verified, with NULL and without; never with SHA-1") {
  const auto key = make_key("RSA-2048");
  const auto good = [&](std::string_view algorithm, const char* digest) {
    return verify(public_key(key), rsa_auth(key, algorithm, RSA_PKCS1_PADDING, 0, digest), octets)
        .has_value();
  };
  CHECK(good("300d 06092a864886f70d01010b 0500", "SHA2-256"));
  CHECK(good("300b 06092a864886f70d01010b", "SHA2-256"));
  CHECK(good("300d 06092a864886f70d01010c 0500", "SHA2-384"));
  CHECK(good("300d 06092a864886f70d01010d 0500", "SHA2-512"));
  CHECK_FALSE(good("300d 06092a864886f70d01010c 0500", "SHA2-256"));
  CHECK_FALSE(good("300d 06092a864886f70d010105 0500", "SHA1"));
  CHECK_THAT(refusal(hex("300d 06092a864886f70d010105 0500")), Catch::Contains("sha1WithRSAEncryption"));
}

TEST_CASE("RSA-PSS takes the salt's length from its parameters") {
  const auto key = make_key("RSA-2048");
  for (const int salt : {0, 20, 32}) {
    CAPTURE(salt);
    const auto der = pss(sha256, sha256, tlv(0xa2, {2, 1, static_cast<std::uint8_t>(salt)}));
    std::string text;
    for (const auto byte : der) text += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    CHECK(verify(public_key(key), rsa_auth(key, text, RSA_PKCS1_PSS_PADDING, salt), octets));
    CHECK_FALSE(verify(public_key(key), rsa_auth(key, text, RSA_PKCS1_PSS_PADDING, salt + 1), octets));
  }
}

TEST_CASE("algorithms are read to the letter") {
  const auto salt = tlv(0xa2, {2, 1, 32});
  const SignatureAlgorithm expected{Scheme::rsa_pss, Hash::sha2_256, 32};
  CHECK(*decode_algorithm(pss(sha256, sha256, salt)) == expected);
  CHECK(*decode_algorithm(pss(sha256_bare, sha256_bare, salt)) == expected);
  CHECK(*decode_algorithm(pss(sha256, sha256, {})) ==
        SignatureAlgorithm{Scheme::rsa_pss, Hash::sha2_256, 20});

  CHECK_THAT(refusal({}), Catch::Contains("not DER"));
  CHECK_THAT(refusal(hex("300a 06082a8648ce3d040302 00")), Catch::Contains("not DER"));    // more behind it
  CHECK_THAT(refusal(hex("30810a 06082a8648ce3d040302")), Catch::Contains("not DER"));     // a long length
  CHECK_THAT(refusal(hex("3080 06082a8648ce3d040302 0000")), Catch::Contains("not DER"));  // without a length
  CHECK_THAT(refusal(hex("300c 06082a8648ce3d040302 0500")), Catch::Contains("parameters"));  // ECDSA, NULL
  CHECK_THAT(refusal(hex("3007 06032b6570 0500")), Catch::Contains("parameters"));
  CHECK_THAT(refusal(hex("3010 06092a864886f70d01010b 0403010203")), Catch::Contains("parameters"));
  CHECK_THAT(refusal(hex("3009 06072a8648ce3d0401")), Catch::Contains("ecdsa-with-SHA1"));
  CHECK_THAT(refusal(hex("300b 0609608648016503040302")), Catch::Contains("dsa_with_SHA256"));
  CHECK_THAT(refusal(hex("3005 06032a0304")), Catch::Contains("1.2.3.4"));
  CHECK_THAT(refusal(hex("300b 06092a864886f70d01010a")),
             Catch::Contains("not DER"));  // RSA-PSS, no parameters
  CHECK_THAT(refusal(hex("300d 06092a864886f70d01010a 3000")),
             Catch::Contains("not SHA2-256"));  // its defaults
  CHECK_THAT(refusal(pss(sha1, sha1, salt)), Catch::Contains("not SHA2-256"));
  CHECK_THAT(refusal(pss(sha256, sha1, salt)), Catch::Contains("another hash"));
  CHECK_THAT(refusal(pss(sha256, sha256, tlv(0xa2, {2, 1, 33}))), Catch::Contains("salt"));
  CHECK_THAT(refusal(pss(sha256, sha256, tlv(0xa2, {2, 1, 0xff}))), Catch::Contains("salt"));
  CHECK_THAT(refusal(pss(sha256, sha256, tlv(0xa2, {2, 2, 0, 32}))), Catch::Contains("not DER"));
  CHECK_THAT(refusal(pss(sha256, sha256, salt + tlv(0xa3, {2, 1, 2}))), Catch::Contains("trailer"));
}

TEST_CASE("a signature of another kind than the key is refused by name") {
  const auto rsa = make_key("RSA-2048");
  const auto data = sign(private_key(make_key("P-256")), all, octets);
  const auto result = verify(public_key(rsa), *data, octets);
  REQUIRE_FALSE(result);
  CHECK(result.error().what ==
        "the signature's algorithm ECDSA with SHA2-256 does not go with the certificate's RSA-2048 key");
}

TEST_CASE("weak keys, and keys of other kinds, are refused") {
  const auto refused = [](const char* kind) {
    const auto key = PublicKey::of(make_key(kind).get());
    REQUIRE_FALSE(key);
    return key.error().what;
  };
  CHECK_THAT(refused("RSA-1024"), Catch::Contains("1024 bits"));
  CHECK_THAT(refused("secp256k1"), Catch::Contains("cannot sign here"));
  CHECK_THAT(refused("ED448"), Catch::Contains("ED448"));
}

TEST_CASE("a private key is read from PEM, unless it is encrypted") {
  const auto load = [](const std::string& pem) {
    return PrivateKey::from_pem({reinterpret_cast<const std::uint8_t*>(pem.data()), pem.size()});
  };
  const auto pair = make_key("P-256");
  const auto key = load(pem_of(pair));
  REQUIRE(key);
  CHECK(key->key() == public_key(pair));
  CHECK(key->key().text() == "ECDSA P-256");
  const auto encrypted = load(pem_of(pair, "secret"));
  REQUIRE_FALSE(encrypted);
  CHECK_THAT(encrypted.error().what, Catch::Contains("is encrypted"));
  const auto nothing = load("no key\n");
  REQUIRE_FALSE(nothing);
  CHECK_THAT(nothing.error().what, Catch::Contains("no private key in PEM"));
  CHECK_FALSE(load(""));
}
