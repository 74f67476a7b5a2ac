#include "control/ike/authenticator.hpp"

#include <catch2/catch.hpp>

#include "control/ike/signature_authenticator.hpp"
#include "tests/control/ike/authority.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto prf = Prf::hmac_sha2_256;
const Secret octets(std::vector<std::uint8_t>(200, 7));
const Secret other_octets(std::vector<std::uint8_t>(200, 8));
const PeerWishes modern{{2, 3, 4, 5}};

Identity identity(std::string_view text) {
  return *parse_identity(text);
}

Secret key(std::string_view text) {
  return Secret(std::vector<std::uint8_t>(text.begin(), text.end()));
}

std::string problem(const Expected<void>& result) {
  return result ? "" : result.error().what;
}

// Two gateways under one CA.
struct Site {
  Site(const Authority& authority, const std::string& subject, const char* kind, std::string_view peer) {
    const auto pair = make_key(kind);
    Wish wish;
    wish.subject = subject;
    ours = std::make_shared<OwnCertificate>(
        *OwnCertificate::make({authority.issue(wish, pair)}, private_key(pair)));
    trust = std::make_shared<TrustStore>(*TrustStore::make({authority.certificate()}, {}, Revocation::off));
    authenticator = std::make_shared<SignatureAuthenticator>(ours, trust, *IdentityPattern::parse(peer),
                                                             [] { return now; });
  }

  std::shared_ptr<OwnCertificate> ours;
  std::shared_ptr<TrustStore> trust;
  std::shared_ptr<Authenticator> authenticator;
};

}  // namespace

TEST_CASE("a shared key proves, to whoever has it, and for these octets") {
  const SharedKeyAuthenticator ours(key("secret"), *IdentityPattern::parse("*.example.org"));
  const SharedKeyAuthenticator theirs(key("secret"), {}), wrong(key("Secret"), {});
  const auto peer = identity("gw.example.org");
  CHECK(ours.accepts(identity("GW.example.org")));
  CHECK_FALSE(ours.accepts(identity("gw.example.com")));
  CHECK(theirs.accepts(identity("key-id:anybody")));
  auto proof = ours.prove(prf, octets, modern);
  REQUIRE(proof);
  CHECK(proof->method == AuthMethod::shared_key);
  CHECK(problem(theirs.verify(prf, octets, peer, *proof)) == "");
  CHECK_THAT(problem(theirs.verify(prf, other_octets, peer, *proof)), Catch::Contains("shared key"));
  CHECK_THAT(problem(wrong.verify(prf, octets, peer, *proof)), Catch::Contains("shared key"));
  proof->data.pop_back();
  CHECK_FALSE(theirs.verify(prf, octets, peer, *proof));
  proof->data.clear();
  CHECK_FALSE(theirs.verify(prf, octets, peer, *proof));
}

TEST_CASE("certificates prove with every kind of key") {
  const Authority authority("CN=Root");
  for (const auto* kind : {"RSA-2048", "P-256", "P-384", "P-521", "ED25519"}) {
    CAPTURE(kind);
    const Site a(authority, "CN=a", kind, "CN=b"), b(authority, "CN=b", "P-256", "CN=a");
    CHECK(a.authenticator->authorities() == b.trust->key_hashes());
    CHECK(b.authenticator->accepts(identity("CN=a")));
    CHECK_FALSE(b.authenticator->accepts(identity("CN=c")));
    const auto proof = a.authenticator->prove(prf, octets, {b.authenticator->signature_hashes()});
    REQUIRE(proof);
    CHECK(proof->method == AuthMethod::digital_signature);
    CHECK(problem(b.authenticator->verify(prf, octets, identity("CN=a"), *proof)) == "");
    CHECK_THAT(problem(b.authenticator->verify(prf, other_octets, identity("CN=a"), *proof)),
               Catch::Contains("signature is not good"));
    CHECK_THAT(problem(b.authenticator->verify(prf, octets, identity("CN=b"), *proof)),
               Catch::Contains("identity CN=b is not in the certificate (it has: CN=a)"));
  }
}

TEST_CASE("another's certificate with a signature of one's own proves nothing") {
  const Authority authority("CN=Root");
  const Site a(authority, "CN=a", "P-256", "%any"), b(authority, "CN=b", "P-256", "%any");
  auto proof = *a.authenticator->prove(prf, octets, modern);
  proof.certificates = b.ours->payloads();
  CHECK_THAT(problem(a.authenticator->verify(prf, octets, identity("CN=b"), proof)),
             Catch::Contains("signature is not good"));
}

TEST_CASE("a peer that knows no RFC 7427 hears why it gets no signature, and one that uses none why not") {
  const Authority authority("CN=Root");
  const Site a(authority, "CN=a", "P-256", "%any");
  const auto proof = a.authenticator->prove(prf, octets, {});
  REQUIRE_FALSE(proof);
  CHECK_THAT(proof.error().what, Catch::Contains("SIGNATURE_HASH_ALGORITHMS"));
  CHECK_THAT(
      problem(a.authenticator->verify(prf, octets, identity("CN=b"), {AuthMethod::rsa_signature, {1}, {}})),
      Catch::Contains("method 1 instead"));
  CHECK_THAT(
      problem(a.authenticator->verify(prf, octets, identity("CN=b"), {AuthMethod::shared_key, {1}, {}})),
      Catch::Contains("method 2 instead"));
}

TEST_CASE("each side may authenticate in its own way") {
  const Authority authority("CN=Root");
  const Site a(authority, "CN=a", "P-256", "%any");
  const auto shared = std::make_shared<SharedKeyAuthenticator>(key("secret"), identity("client"));
  // The server has a certificate, the client a key.
  const TwoSidedAuthenticator server(a.authenticator, shared), client(shared, a.authenticator);
  CHECK(server.accepts(identity("client")));
  CHECK_FALSE(server.accepts(identity("CN=b")));
  CHECK(server.signature_hashes().empty());
  CHECK(server.authorities().empty());
  CHECK(client.authorities() == a.trust->key_hashes());
  const auto of_server = server.prove(prf, octets, {client.signature_hashes()});
  REQUIRE(of_server);
  CHECK(of_server->method == AuthMethod::digital_signature);
  CHECK(problem(client.verify(prf, octets, identity("CN=a"), *of_server)) == "");
  const auto of_client = client.prove(prf, octets, {});
  REQUIRE(of_client);
  CHECK(problem(server.verify(prf, octets, identity("client"), *of_client)) == "");
  CHECK_FALSE(server.verify(prf, octets, identity("client"), *of_server));
}
