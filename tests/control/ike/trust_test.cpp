#include "control/ike/trust.hpp"

#include <openssl/sha.h>

#include <catch2/catch.hpp>

#include "tests/control/ike/authority.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

const Authority root("O=Example, CN=Root");
const Authority below("O=Example, CN=Branches", root);
const Authority stranger("O=Other, CN=Root");
const auto key = make_key("P-256");

Identity identity(std::string_view text) {
  return *parse_identity(text);
}

TrustStore trusting(std::vector<X509Certificate> authorities, std::vector<RevocationList> lists = {},
                    Revocation revocation = Revocation::off) {
  auto store = TrustStore::make(std::move(authorities), std::move(lists), revocation);
  REQUIRE(store);
  return *std::move(store);
}

std::vector<CertificateData> sent(const std::vector<X509Certificate>& certificates) {
  std::vector<CertificateData> payloads;
  for (const auto& certificate : certificates)
    payloads.push_back({CertificateEncoding::x509_signature, certificate.der()});
  return payloads;
}

// "" when it is believed.
std::string problem(const TrustStore& store, const std::vector<X509Certificate>& certificates,
                    std::string_view who = "CN=gw.example.org") {
  const auto result = store.verify(sent(certificates), identity(who), now);
  return result ? "" : result.error().what;
}

}  // namespace

TEST_CASE("a chain up to a trusted CA gives the key") {
  const auto own = below.issue({}, key);
  const auto store = trusting({root.certificate()});
  const auto result = store.verify(sent({own, below.certificate()}), identity("CN=gw.example.org"), now);
  REQUIRE(result);
  CHECK(*result == *PublicKey::of(key.get()));
  CHECK(problem(store, {own, stranger.certificate(), below.certificate(), root.certificate()}) == "");
  CHECK(problem(trusting({below.certificate()}), {own}) == "");  // a CA need not be a root
  CHECK(problem(trusting({root.certificate(), below.certificate()}), {own}) == "");
}

TEST_CASE("a chain to nowhere is not believed, and the issuer that lacks is named") {
  const auto own = below.issue({}, key);
  CHECK(problem(trusting({root.certificate()}), {own}) ==
        "issuer not trusted: O=Example, CN=Branches (of the certificate CN=gw.example.org)");
  CHECK(problem(trusting({stranger.certificate()}), {own, below.certificate()}) ==
        "issuer not trusted: O=Example, CN=Root (of the certificate O=Example, CN=Branches)");
  CHECK_THAT(problem(trusting({stranger.certificate()}), {own, below.certificate(), root.certificate()}),
             Catch::StartsWith("issuer not trusted: O=Example, CN=Root"));
  // A CA of the same name with another key.
  const Authority impostor("O=Example, CN=Root");
  CHECK_THAT(problem(trusting({root.certificate()}), {impostor.issue({}, key)}),
             Catch::Contains("signature") || Catch::Contains("not trusted"));
}

TEST_CASE("what is no CA issues nothing") {
  const auto own = root.issue({}, key);
  Wish wish;
  wish.subject = "CN=other";
  CHECK_THAT(
      problem(trusting({root.certificate()}), {issue(wish, make_key("P-256"), own, key), own}, "CN=other"),
      Catch::StartsWith("not a CA: CN=gw.example.org") || Catch::StartsWith("issuer not trusted"));
}

TEST_CASE("certificates count from their first to their last day") {
  const auto store = trusting({root.certificate()});
  Wish late;
  late.from = now - 3 * day;
  late.to = now - day;
  CHECK(problem(store, {root.issue(late, key)}) == "certificate expired 2027-01-14: CN=gw.example.org");
  Wish early;
  early.from = now + day;
  early.to = now + 2 * day;
  CHECK(problem(store, {root.issue(early, key)}) ==
        "certificate not valid before 2027-01-16: CN=gw.example.org");
  Wish old_authority;
  old_authority.from = now - 3 * day;
  old_authority.to = now - day;
  const Authority old("CN=Old", root, old_authority);
  CHECK(problem(store, {old.issue({}, key), old.certificate()}) == "certificate expired 2027-01-14: CN=Old");
}

TEST_CASE("the identity is in the certificate, or it is not believed") {
  Wish wish;
  wish.alternative_names =
      "DNS:gw.example.org,DNS:*.example.net,email:ops@example.org,IP:192.0.2.1,IP:2001:db8::1";
  const auto own = root.issue(wish, key);
  const auto store = trusting({root.certificate()});
  for (const auto* who :
       {"GW.example.org", "ops@EXAMPLE.org", "192.0.2.1", "2001:db8::1", "cn=GW.example.org"})
    CHECK(problem(store, {own}, who) == "");
  CHECK(problem(store, {own}, "other.example.org") ==
        "identity other.example.org is not in the certificate (it has: CN=gw.example.org; gw.example.org; "
        "fqdn:*.example.net; ops@example.org; 192.0.2.1; 2001:db8::1)");
  CHECK(problem(store, {own}, "a.example.net") != "");  // no wildcards (RFC 4945 3.1.1)
  CHECK(problem(store, {own}, "192.0.2.2") != "");
  CHECK(problem(store, {own}, "fqdn:192.0.2.1") != "");
  CHECK(problem(store, {own}, "key-id:gw.example.org") != "");
  CHECK(problem(store, {own}, "CN=gw.example.org, C=DE") != "");
  // The common name alone is no host name.
  CHECK_THAT(problem(store, {root.issue({}, key)}, "gw.example.org"),
             Catch::Contains("(it has: CN=gw.example.org)"));
}

TEST_CASE("keys are for what their certificate says") {
  const auto store = trusting({root.certificate()});
  const auto with = [&](const char* usage, const char* extended) {
    Wish wish;
    wish.key_usage = usage;
    wish.extended_key_usage = extended;
    return problem(store, {root.issue(wish, key)});
  };
  CHECK(with("critical,digitalSignature", "") == "");
  CHECK(with("nonRepudiation", "ipsecIKE") == "");
  CHECK(with("", "serverAuth") == "");
  CHECK(with("", "anyExtendedKeyUsage,codeSigning") == "");
  CHECK_THAT(with("keyEncipherment", ""), Catch::Contains("key usage"));
  CHECK_THAT(with("digitalSignature", "codeSigning"), Catch::Contains("extended key usage"));
}

TEST_CASE("weak hashes and short keys anywhere in the chain are refused") {
  const auto store = trusting({root.certificate()});
  Wish sha1;
  sha1.digest = "SHA1";
  CHECK_THAT(problem(store, {root.issue(sha1, key)}), Catch::Contains("SHA-1"));
  CHECK_THAT(problem(store, {root.issue({}, make_key("RSA-1024"))}), Catch::Contains("too short"));
}

TEST_CASE("what a CRL revokes is refused, by when it is looked at") {
  const auto own = below.issue({}, key);
  const std::vector<X509Certificate> chain{own, below.certificate()};
  const auto with = [&](std::vector<RevocationList> lists, Revocation revocation) {
    return problem(trusting({root.certificate()}, std::move(lists), revocation), chain);
  };
  const auto clean_root = root.revoke({});
  const auto clean = below.revoke({8});
  const auto bad = below.revoke({7});
  CHECK(with({clean_root, clean}, Revocation::strict) == "");
  CHECK(with({clean_root, bad}, Revocation::strict) == "certificate revoked 2027-01-14: CN=gw.example.org");
  CHECK(with({clean_root, bad}, Revocation::if_present) ==
        "certificate revoked 2027-01-14: CN=gw.example.org");
  CHECK(with({clean_root, bad}, Revocation::off) == "");
  // A CA in between that its root revoked.
  CHECK(with({root.revoke({7}), clean}, Revocation::strict) ==
        "certificate revoked 2027-01-14: O=Example, CN=Branches");
  CHECK(with({root.revoke({7})}, Revocation::if_present) ==
        "certificate revoked 2027-01-14: O=Example, CN=Branches");

  CHECK(with({}, Revocation::strict) ==
        "no CRL of the issuer: O=Example, CN=Branches (of the certificate CN=gw.example.org)");
  CHECK(with({clean}, Revocation::strict) ==
        "no CRL of the issuer: O=Example, CN=Root (of the certificate O=Example, CN=Branches)");
  CHECK(with({}, Revocation::if_present) == "");

  const auto old = below.revoke({8}, now - 3 * day, now - 2 * day);
  const auto old_bad = below.revoke({7}, now - 3 * day, now - 2 * day);
  CHECK(with({clean_root, old}, Revocation::strict) == "CRL expired 2027-01-13: O=Example, CN=Branches");
  CHECK(with({clean_root, old}, Revocation::if_present) == "");
  CHECK_THAT(with({clean_root, old_bad}, Revocation::if_present), Catch::Contains("revoked"));
  // A CRL that somebody else signed is none.
  const Authority impostor("O=Example, CN=Branches");
  CHECK(with({clean_root, impostor.revoke({})}, Revocation::strict) != "");
  // What is above the CA that we trust is not asked.
  CHECK(problem(trusting({below.certificate()}, {clean}, Revocation::strict), {own}) == "");
}

TEST_CASE("an unknown critical extension is not passed over") {
  Wish wish;
  wish.unknown_critical = true;
  CHECK_THAT(problem(trusting({root.certificate()}), {root.issue(wish, key)}),
             Catch::Contains("unhandled critical"));
}

TEST_CASE("a peer may not send too much, or nothing") {
  const auto own = root.issue({}, key);
  const auto store = trusting({root.certificate()});
  CHECK_THAT(problem(store, {}), Catch::Contains("no X.509 certificate"));
  CHECK_THAT(problem(store, std::vector<X509Certificate>(11, own)), Catch::Contains("more than 10"));
  auto payloads = sent({own});
  payloads[0].data.resize(16'385);
  CHECK_FALSE(store.verify(payloads, identity("CN=gw.example.org"), now));
  payloads = sent({own});
  payloads[0].data.push_back(0);
  CHECK_FALSE(store.verify(payloads, identity("CN=gw.example.org"), now));
  payloads = sent({own});
  for (std::size_t size = 0; size < payloads[0].data.size(); size += 7) {
    auto part = payloads;
    part[0].data.resize(size);
    CHECK_FALSE(store.verify(part, identity("CN=gw.example.org"), now));
  }
  // Other encodings are not looked at.
  payloads.insert(payloads.begin(), {CertificateEncoding::hash_and_url, {1, 2, 3}});
  CHECK(store.verify(payloads, identity("CN=gw.example.org"), now));
}

TEST_CASE("CAs are asked for by the SHA-1 of their whole public key information (RFC 7296 3.7)") {
  const auto store = trusting({root.certificate(), stranger.certificate()});
  CHECK(store.key_hashes().size() == 2 * SHA_DIGEST_LENGTH);
  // The information of an ECDSA P-256 key is this header and the point.
  const auto der = root.certificate().der();
  constexpr std::size_t info_bytes = 91;
  const std::vector<std::uint8_t> header{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce};
  const auto at = std::search(der.begin(), der.end(), header.begin(), header.end());
  REQUIRE(der.end() - at > static_cast<std::ptrdiff_t>(info_bytes));
  std::vector<std::uint8_t> hash(SHA_DIGEST_LENGTH);
  SHA1(&*at, info_bytes, hash.data());
  CHECK(std::vector<std::uint8_t>(store.key_hashes().begin(),
                                  store.key_hashes().begin() + SHA_DIGEST_LENGTH) == hash);
}

TEST_CASE("only CAs can be trusted") {
  const auto none = TrustStore::make({}, {}, Revocation::off);
  REQUIRE_FALSE(none);
  const auto leaf = TrustStore::make({root.issue({}, key)}, {}, Revocation::off);
  REQUIRE_FALSE(leaf);
  CHECK(leaf.error().what == "the certificate CN=gw.example.org is not a CA's");
}

TEST_CASE("PEM may hold several certificates among other things") {
  const auto text =
      "comment\n" + pem_of(root.certificate()) + pem_of(root.revoke({})) + pem_of(below.certificate());
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  const auto certificates = X509Certificate::all_in_pem(bytes);
  REQUIRE(certificates);
  REQUIRE(certificates->size() == 2);
  CHECK((*certificates)[1].subject() == "O=Example, CN=Branches");
  CHECK(RevocationList::all_in_pem(bytes)->size() == 1);
  CHECK_FALSE(X509Certificate::all_in_pem({}));
}

TEST_CASE("our certificate and key belong together") {
  const auto own = below.issue({}, key);
  const auto good = OwnCertificate::make({own, below.certificate()}, private_key(key));
  REQUIRE(good);
  REQUIRE(good->payloads().size() == 2);
  CHECK(good->payloads()[0].data == own.der());
  const auto wrong = OwnCertificate::make({below.certificate(), own}, private_key(key));
  REQUIRE_FALSE(wrong);
  CHECK_THAT(wrong.error().what, Catch::Contains("not that of the certificate O=Example, CN=Branches"));
  CHECK_FALSE(OwnCertificate::make({}, private_key(key)));
  CHECK_FALSE(OwnCertificate::make(std::vector<X509Certificate>(9, own), private_key(key)));
}
