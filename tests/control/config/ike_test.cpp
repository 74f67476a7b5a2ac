// The `ike` group of connections: what it means, and what is refused.
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <catch2/catch.hpp>

#include "control/config/algorithms.hpp"
#include "control/config/ike_settings.hpp"
#include "control/config/load.hpp"
#include "tests/control/config/mistakes.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/ike/authority.hpp"

using namespace espgate;
using namespace espgate::config;
using crypto::SuiteId;
using ike::test::Authority;

namespace {

// A site-to-site tunnel, with what `ike` has in it.
std::string tunnel(std::string_view ike) {
  return fmt::format(R"({}connections = ( {{
  name = "branch";
  local = "192.0.2.1";
  remote = "198.51.100.1";
  local-networks = [ "10.1.0.0/16" ];
  remote-networks = [ "10.2.0.0/16" ];
  ike = {{ {} }};
}} );
)",
                     test::minimal, ike);
}

// A folder with a gateway's certificate, key and CA.
struct Site {
  Site() {
    const Authority root("O=Example, CN=Root");
    const auto pair = ike::test::make_key("P-256");
    ike::test::Wish wish;
    wish.alternative_names = "DNS:gw.example.org";
    folder.write("gw.pem", ike::test::pem_of(root.issue(wish, pair)));
    folder.write("gw.key", ike::test::pem_of(pair));
    folder.write("other.key", ike::test::pem_of(ike::test::make_key("P-256")));
    folder.write("ca.pem", ike::test::pem_of(root.certificate()));
    folder.write("ca.crl", ike::test::pem_of(root.revoke({})));
    folder.write("site.psk", "correct horse battery\n");
    folder.write("short.psk", "secret\n");
    folder.write("open.psk", "correct horse battery\n", 0644);
    folder.write("ppk", "0x" + std::string(64, 'a') + "\n");
  }

  LoadResult load(std::string_view ike) const {
    return config::load(folder.write("espgate.conf", tunnel(ike)));
  }
  std::shared_ptr<const IkeSettings> settings(std::string_view ike) const {
    const auto result = load(ike);
    INFO(ike);
    INFO(test::all(result.errors));
    REQUIRE(result.configuration);
    return result.configuration->connections.at(0).ike;
  }

  test::Folder folder;
};

const Site& site() {
  static const Site instance;
  return instance;
}

constexpr std::string_view certificates =
    "certificate = \"gw.pem\"; private-key = \"gw.key\"; ca = \"ca.pem\";";

ike::Identity identity(std::string_view text) {
  return *ike::parse_identity(text);
}

// Both sides as the settings have them, the peer's by the same file.
bool authenticates(const ike::Authenticator& ours, const ike::Authenticator& theirs,
                   const ike::Identity& who) {
  const Secret octets(std::vector<std::uint8_t>(40, 1));
  const auto proof = ours.prove(ike::Prf::hmac_sha2_256, octets, {theirs.signature_hashes()});
  return proof && theirs.verify(ike::Prf::hmac_sha2_256, octets, who, *proof).has_value();
}

}  // namespace

TEST_CASE("a site-to-site tunnel with a pre-shared key takes fewer than 12 lines") {
  const auto text = tunnel(test::psk);
  CHECK(std::ranges::count(text, '\n') < 12);
  const auto settings = site().settings(test::psk);
  REQUIRE(settings);
  CHECK(settings->local_id == identity("192.0.2.1"));
  CHECK(settings->remote_id.matches(identity("198.51.100.1")));
  CHECK_FALSE(settings->remote_id.matches(identity("198.51.100.2")));
  CHECK(settings->algorithms.suites.front() == SuiteId::aes_gcm_16_256);
  CHECK(settings->algorithms.key_exchanges == std::vector<std::uint16_t>{31, 19, 20, 15, 14});
  CHECK(settings->child_algorithms.key_exchanges == settings->algorithms.key_exchanges);
  CHECK(settings->start == Start::always);
  CHECK(settings->child_sa.rekey_after < settings->child_sa.expires_after);
  CHECK(settings->ike_sa.rekey_after == std::chrono::seconds(14'000));
  CHECK(settings->liveness_after == std::chrono::seconds(30));
  CHECK(settings->fragment_bytes == 1'200);
  CHECK(settings->reauthenticate_after.count() == 0);
  CHECK(settings->ppk_use == ike::PpkUse::off);
}

TEST_CASE("the key may stand in the file, in hexadecimal, or in a file of its own") {
  const auto ours = site().settings(test::psk)->credentials.authenticator;
  for (const auto* other :
       {"psk-file = \"site.psk\";", "psk = \"0x636f727265637420686f7273652062617474657279\";",
        "psk = \"correct horse \" \"battery\";"})
    CHECK(authenticates(*site().settings(other)->credentials.authenticator, *ours, identity("192.0.2.1")));
  CHECK_FALSE(authenticates(*site().settings("psk = \"correct horse batterx\";")->credentials.authenticator,
                            *ours, identity("192.0.2.1")));
}

TEST_CASE("certificates for both sides, or for one") {
  const auto both = site().settings(fmt::format("{} remote-id = \"%any\";", certificates));
  CHECK(both->local_id == identity("CN=gw.example.org"));  // the certificate's subject
  CHECK(both->credentials.authenticator->authorities().size() == 20);
  CHECK(both->remote_id.matches(identity("key-id:any")));
  const auto named = site().settings(fmt::format("{} local-id = \"gw.example.org\";", certificates));
  CHECK(named->local_id == identity("gw.example.org"));

  // The peer's certificate, our key; and the other way round.
  const auto client =
      site().settings(fmt::format("{} ca = \"ca.pem\"; remote-id = \"*.example.org\";", test::psk));
  const auto server =
      site().settings(fmt::format("{} certificate = \"gw.pem\"; private-key = \"gw.key\";", test::psk));
  CHECK(authenticates(*client->credentials.authenticator, *server->credentials.authenticator,
                      identity("198.51.100.1")));
  CHECK(server->credentials.authenticator->authorities().empty());
  CHECK(client->credentials.authenticator->authorities().size() == 20);
}

TEST_CASE("everything can be said") {
  const auto settings = site().settings(fmt::format(
      "{} suites = [ \"chacha20-poly1305\", \"aes128-cbc-sha256\" ]; prfs = [ \"sha512\" ]; "
      "key-exchanges = [ \"ecp384\", \"x448\" ]; child-suites = [ \"aes128-gcm16\" ]; pfs = [ ]; "
      "start = \"on-demand\"; rekey-after = \"4 h\"; expires-after = \"5 h\"; child-rekey-after = 600; "
      "child-expires-after = 700; reauthenticate-after = \"1 d\"; liveness = 0; fragment-bytes = 0; "
      "revocation = \"strict\"; "
      "crl = \"ca.crl\"; ca = \"ca.pem\"; remote-id = \"C=DE, CN=*\"; ppk = \"required\"; "
      "ppk-id = \"a1\"; ppk-file = \"ppk\";",
      test::psk));
  CHECK(settings->algorithms.suites == std::vector{SuiteId::chacha20_poly1305, SuiteId::aes_cbc_128_sha256});
  CHECK(settings->algorithms.prfs == std::vector{ike::Prf::hmac_sha2_512});
  CHECK(settings->algorithms.key_exchanges == std::vector<std::uint16_t>{20, 32});
  CHECK(settings->child_algorithms.suites == std::vector{SuiteId::aes_gcm_16_128});
  CHECK(settings->child_algorithms.key_exchanges.empty());
  CHECK(settings->start == Start::on_demand);
  CHECK(settings->ike_sa.expires_after == std::chrono::hours(5));
  CHECK(settings->child_sa.rekey_after == std::chrono::seconds(600));
  CHECK(settings->reauthenticate_after == std::chrono::hours(24));
  CHECK(settings->liveness_after.count() == 0);
  CHECK(settings->ppk_use == ike::PpkUse::required);
  REQUIRE(settings->ppks.size() == 1);
  CHECK(settings->ppks[0].id == std::vector<std::uint8_t>{'a', '1'});
  CHECK(settings->ppks[0].key == Secret(std::vector<std::uint8_t>(32, 0xaa)));
}

TEST_CASE("settings are equal however often they are read, and not when a file that they name changed") {
  const Site other;  // other keys, certificates and CRLs by the same names
  const auto by = fmt::format("{} crl = \"ca.crl\";", certificates);
  for (const std::string& ike : {std::string(test::psk), std::string("psk-file = \"site.psk\";"), by,
                                 fmt::format("{} ca = \"ca.pem\";", test::psk)}) {
    CAPTURE(ike);
    CHECK(*site().settings(ike) == *site().settings(ike));
    const bool only_text = ike.find(".pem") == std::string::npos;
    CHECK((*site().settings(ike) == *other.settings(ike)) == only_text);
  }
  const auto before = site().settings("psk-file = \"site.psk\";");
  CHECK(*before == *site().settings(test::psk));  // the same key from elsewhere
  CHECK_FALSE(*before == *site().settings("psk = \"another horse battery\";"));
  const auto without = site().settings(certificates);
  CHECK_FALSE(*without == *site().settings(by));
  CHECK_FALSE(*without == *site().settings(fmt::format("{} revocation = \"off\";", certificates)));
  CHECK_FALSE(*site().settings(fmt::format("{} ca = \"ca.pem\";", test::psk)) == *site().settings(test::psk));
}

TEST_CASE("the limits hold what connections negotiate, two inbound SAs each while keys are replaced") {
  for (const auto& [limits, message] :
       {std::pair("inbound-sas = 1;", "2 inbound SAs, two for each"), std::pair("outbound-sas = 1;", ""),
        std::pair("inbound-sas = 2; ike-sas = 1;", "")}) {
    const auto result = config::load(site().folder.write(
        "espgate.conf", fmt::format("limits = {{ {} }};\n{}", limits, tunnel(test::psk))));
    INFO(test::all(result.errors));
    CHECK(result.errors.empty() == (*message == '\0'));
    CHECK_THAT(test::all(result.errors), Catch::Contains(message));
  }
}

TEST_CASE("sequence numbers are as long as both sides like, unless the connection says how long") {
  const auto children = [](std::string_view esn) {
    auto text = tunnel(test::psk);
    text.insert(text.find("ike = "), esn);
    const auto result = config::load(site().folder.write("espgate.conf", text));
    REQUIRE(result.configuration);
    const auto& algorithms = result.configuration->connections.at(0).ike->child_algorithms;
    return std::pair(algorithms.extended_sequence, algorithms.short_sequence);
  };
  CHECK(children("") == std::pair(true, true));
  CHECK(children("esn = true; ") == std::pair(true, false));
  CHECK(children("esn = false; ") == std::pair(false, true));
}

TEST_CASE("what is known of algorithms says of each why it is refused, and refuses no default") {
  const auto preset = preset_algorithms();
  bool sha1 = false;
  for (const auto& algorithm : known_algorithms()) {
    CAPTURE(algorithm.name);
    CHECK((algorithm.for_ike && (algorithm.for_traffic || algorithm.kind == AlgorithmKind::prf)) ==
          algorithm.refused.empty());
    sha1 |= algorithm.name == "aes128-cbc-sha1" && algorithm.refused == "SHA-1 is broken";
  }
  CHECK(sha1);
  for (const auto id : preset.suites) CHECK(weakness_of(crypto::suite(id)).empty());
}

TEST_CASE("ML-KEM-768 is offered and accepted where OpenSSL has it, and refused with the reason elsewhere") {
  const std::unique_ptr<EVP_KEM, decltype(&EVP_KEM_free)> kem(EVP_KEM_fetch(nullptr, "ML-KEM-768", nullptr),
                                                              &EVP_KEM_free);
  const bool is_there = kem != nullptr;
  constexpr unsigned long first_with_it = 0x30500000;
  CHECK((is_there || OpenSSL_version_num() < first_with_it));
  constexpr std::string_view reason = "this OpenSSL does not have it, and 3.5 or later does";
  const auto known = known_algorithms();
  REQUIRE(std::ranges::count(known, "ml-kem-768", &Algorithm::name) == 1);
  const auto& row = *std::ranges::find(known, "ml-kem-768", &Algorithm::name);
  CHECK(row.refused == (is_there ? "it is an additional key exchange only (RFC 9370)" : reason));
  CHECK(std::ranges::count(ike::missing_key_exchanges(), "ml-kem-768") == (is_there ? 0 : 1));

  const auto text = fmt::format("{} additional-key-exchanges = [ \"ml-kem-768\", \"ecp384\" ];", test::psk);
  if (!is_there) {
    const auto result = site().load(text);
    CHECK_FALSE(result.configuration);
    REQUIRE(result.errors.size() == 1);
    CHECK_THAT(result.errors[0].text(),
               Catch::Contains(fmt::format("\"ml-kem-768\" is not allowed: {}", reason)));
    return;
  }
  const auto ours = site().settings(text)->algorithms;
  CHECK(ours.additional == std::vector<std::vector<std::uint16_t>>{{36}, {20}});
  const auto offered = ike::offer(ours, {});
  for (const auto& proposal : offered.proposals)
    CHECK(std::ranges::count(proposal.transforms, ike::Transform{ike::TransformType{6}, 36}) == 1);
  const auto chosen = ike::choose(offered, ours, ours.key_exchanges.front());
  REQUIRE(chosen);
  CHECK(chosen->additional == std::vector<std::uint16_t>{36, 20});
  // Not as the first, which has to be one that both sides contribute to.
  CHECK_FALSE(site().load(fmt::format("{} key-exchanges = [ \"ml-kem-768\" ];", test::psk)).configuration);
}

TEST_CASE("every mistake is named with its remedy") {
  const struct {
    std::string ike;
    std::string_view path, message, remedy;
  } cases[] = {
      {"", "psk", "missing", "psk-file"},
      {"ca = \"ca.pem\";", "psk", "missing", "for our side"},
      {"certificate = \"gw.pem\"; private-key = \"gw.key\";", "psk", "missing", "add ca"},
      {"psk = \"secret\";", "psk", "6 bytes, and fewer than 16", "openssl rand"},
      {fmt::format("{} fragment-bytes = 1;", test::psk), "fragment-bytes", "1 is neither 0 nor 576",
       "leave it out"},
      {fmt::format("{} reauthenticate-after = 59;", test::psk), "reauthenticate-after",
       "59 is neither 0 nor 60", ""},
      {fmt::format("{} fragment-bytes = 575;", test::psk), "fragment-bytes", "neither 0 nor 576 or more", ""},
      {fmt::format("{} other-addresses = [ \"192.0.2\" ];", test::psk), "other-addresses[0]", "is no address",
       ""},
      {fmt::format("{} other-addresses = [ \"2001:db8::1\" ];", test::psk), "other-addresses",
       "2001:db8::1 is not of the family of local", ""},
      {fmt::format("{} other-addresses = [ \"192.0.2.1\" ];", test::psk), "other-addresses",
       "192.0.2.1 is there already", "once"},
      {fmt::format("{} other-addresses = [ \"203.0.113.1\" ]; request-addresses = true;", test::psk),
       "other-addresses", "stays there", "request-addresses"},
      {"psk = \"0x0102\";", "psk", "2 bytes", "openssl rand"},
      {"psk = \"0xyz\";", "psk", "hexadecimal", ""},
      {"psk-file = \"short.psk\";", "psk-file", "6 bytes", ""},
      {"psk-file = \"open.psk\";", "psk-file", "0644", "chmod 600"},
      {"psk-file = \"absent\";", "psk-file", "cannot read", ""},
      {fmt::format("{} psk-file = \"site.psk\";", test::psk), "psk-file", "both", "keep one"},
      {fmt::format("{} {}", test::psk, certificates), "psk", "nobody by this key", "remove"},
      {"certificate = \"gw.pem\"; ca = \"ca.pem\";", "private-key", "missing", ""},
      {"certificate = \"gw.pem\"; private-key = \"other.key\"; ca = \"ca.pem\";", "certificate",
       "is not that of the certificate CN=gw.example.org", ""},
      {"certificate = \"gw.pem\"; private-key = \"gw.pem\"; ca = \"ca.pem\";", "private-key",
       "no private key in PEM", ""},
      {fmt::format("{} ca = \"gw.pem\";", test::psk), "ca", "not a CA's", ""},
      {fmt::format("{} crl = \"ca.crl\";", test::psk), "crl", "no ca", ""},
      {fmt::format("{} ca = \"ca.pem\"; revocation = \"strict\";", test::psk), "revocation", "without a CRL",
       "crl ="},
      {fmt::format("{} local-id = \"other.example.org\";", certificates), "local-id",
       "not in the certificate (it has: CN=gw.example.org; gw.example.org)", ""},
      {fmt::format("{} local-id = \"a b\";", test::psk), "local-id", "not a host name", ""},
      {fmt::format("{} remote-id = \"*\";", test::psk), "remote-id", "not a host name", ""},
      {fmt::format("{} key-exchanges = [ \"modp1024\" ];", test::psk), "key-exchanges[0]", "can be broken",
       "choose among"},
      {fmt::format("{} pfs = [ \"x25519\", \"modp1536\" ];", test::psk), "pfs[1]", "too weak", ""},
      {fmt::format("{} key-exchanges = [ \"x25591\" ];", test::psk), "key-exchanges[0]", "not known",
       "\"x25519\""},
      {fmt::format("{} suites = [ \"aes256-gmac\" ];", test::psk), "suites[0]", "does not encrypt", ""},
      {fmt::format("{} suites = [ \"aes128-ccm16\" ];", test::psk), "suites[0]", "IKE itself", ""},
      {fmt::format("{} suites = [ \"3des\" ];", test::psk), "suites[0]", "blocks are too short", ""},
      {fmt::format("{} suites = [ \"3des-sha1\" ];", test::psk), "suites[0]", "blocks are too short", ""},
      {fmt::format("{} child-suites = [ \"aes128-md5\" ];", test::psk), "child-suites[0]", "MD5", ""},
      {fmt::format("{} child-suites = [ \"null-sha256\" ];", test::psk), "child-suites[0]",
       "does not encrypt", ""},
      {fmt::format("{} child-suites = [ \"aes128-cbc-sha1\" ];", test::psk), "child-suites[0]", "SHA-1", ""},
      {fmt::format("{} prfs = [ \"sha1\" ];", test::psk), "prfs[0]", "SHA-1", "sha512"},
      {fmt::format("{} rekey-after = 600; expires-after = 600;", test::psk), "rekey-after", "not less", ""},
      {fmt::format("{} start = \"auto\";", test::psk), "start", "\"auto\" is not", ""},
      {fmt::format("{} ppk = \"optional\";", test::psk), "ppk-id", "missing", ""},
      {fmt::format("{} ppk = \"optional\"; ppk-id = \"a\"; ppk-file = \"site.psk\";", test::psk), "ppk-file",
       "21 bytes, and fewer than 32", ""},
  };
  for (const auto& expected : cases) {
    const auto result = site().load(expected.ike);
    INFO(expected.ike);
    INFO(test::all(result.errors));
    CHECK_FALSE(result.configuration);
    const auto found = std::ranges::find_if(result.errors, [&](const Problem& problem) {
      return problem.path == fmt::format("connections[0].ike.{}", expected.path) &&
             problem.message.find(expected.message) != std::string::npos;
    });
    REQUIRE(found != result.errors.end());
    CHECK_THAT(found->remedy, Catch::Contains(std::string(expected.remedy)));
    CHECK_FALSE(found->remedy.empty());
    CHECK_THAT(test::all(result.errors), !Catch::Contains("correct horse"));
  }
}

TEST_CASE("what IKE negotiates has no place besides it") {
  for (const auto* more :
       {"suite = \"aes256-gcm16\";", "lifetime = { hard-seconds = 600; };",
        "inbound = { spi = 0x1001; key = \"0x47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\"; };"}) {
    auto text = tunnel(test::psk);
    text.insert(text.find("ike = "), more);
    const auto result = config::load(site().folder.write("espgate.conf", text));
    INFO(more);
    CHECK_FALSE(result.configuration);
    CHECK_THAT(test::all(result.errors), Catch::Contains("has no place besides ike"));
  }
}
