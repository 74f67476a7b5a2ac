#include "control/config/credentials.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "control/config/certificate_dates.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/ike/authority.hpp"

using namespace espgate;
using namespace espgate::config;
using ike::test::Authority;
using ike::test::day;
using ike::test::make_key;
using ike::test::now;
using ike::test::pem_of;

namespace {

std::string der_text(const ike::X509Certificate& certificate) {
  const auto der = certificate.der();
  return {der.begin(), der.end()};
}

}  // namespace

TEST_CASE("a private key is read from a file that is its owner's alone") {
  const test::Folder folder;
  const auto pair = make_key("P-256");
  const auto file = folder.write("gw.key", pem_of(pair));
  chmod(file.c_str(), 0600);
  const auto loaded = load_private_key(file);
  REQUIRE(loaded);
  CHECK(loaded->key.key() == *ike::PublicKey::of(pair.get()));
  CHECK_FALSE(loaded->group_readable);
  chmod(file.c_str(), 0640);
  CHECK(load_private_key(file)->group_readable);
  chmod(file.c_str(), 0644);
  const auto open = load_private_key(file);
  REQUIRE_FALSE(open);
  CHECK_THAT(open.error().text(), Catch::Contains("0644") && Catch::Contains("chmod 600 " + file));
}

TEST_CASE("a private key that is encrypted, large or none is refused with its file's name") {
  const test::Folder folder;
  const auto reason = [&](const std::string& text) {
    const auto file = folder.write("gw.key", text);
    chmod(file.c_str(), 0600);
    const auto loaded = load_private_key(file);
    REQUIRE_FALSE(loaded);
    CHECK_THAT(loaded.error().what, Catch::Contains(file));
    return loaded.error().what;
  };
  CHECK_THAT(reason(pem_of(make_key("P-256"), "password")), Catch::Contains("is encrypted"));
  CHECK_THAT(reason(pem_of(Authority("CN=x").certificate())), Catch::Contains("no private key in PEM"));
  CHECK_THAT(reason(""), Catch::Contains("no private key in PEM"));
  // The largest key that is allowed fits.
  const auto file = folder.write("gw.key", pem_of(make_key("RSA-4096")));
  chmod(file.c_str(), 0600);
  CHECK(load_private_key(file));
}

TEST_CASE("certificates come from a file in PEM or DER, or from a folder") {
  const Authority root("CN=Root"), below("CN=Below", root);
  const test::Folder folder;
  const auto chain = folder.write("chain.pem", pem_of(below.certificate()) + pem_of(root.certificate()));
  const auto both = load_certificates(chain);
  REQUIRE(both);
  REQUIRE(both->size() == 2);
  CHECK((*both)[0].subject() == "CN=Below");
  const auto der = folder.write("a.der", der_text(root.certificate()));
  CHECK(load_certificates(der)->at(0).subject() == "CN=Root");
  folder.write("notes.txt", "not one");
  folder.write("z.crl", pem_of(root.revoke({})));
  const auto all = load_certificates(folder.path(""));
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  CHECK((*all)[0].subject() == "CN=Root");  // a.der goes before chain.pem
  CHECK(load_revocation_lists(folder.path(""))->size() == 1);
}

TEST_CASE("a file or folder without certificates is refused") {
  const test::Folder folder;
  const auto empty = load_certificates(folder.path(""));
  REQUIRE_FALSE(empty);
  CHECK_THAT(empty.error().what, Catch::Contains("has no certificate"));
  CHECK_FALSE(load_certificates(folder.path("absent.pem")));
  for (const auto* text :
       {"", "0", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    const auto file = folder.write("a.pem", text);
    const auto loaded = load_certificates(file);
    INFO(text);
    REQUIRE_FALSE(loaded);
    CHECK_THAT(loaded.error().what, Catch::Contains(file));
  }
  CHECK_FALSE(load_revocation_lists(folder.write("b.pem", pem_of(Authority("CN=x").certificate()))));
}

TEST_CASE("a certificate that has expired, or is not valid yet, is told of") {
  const Authority root("CN=Root");
  ike::test::Wish wish;
  wish.from = now - 2 * day;
  wish.to = now - day / 2;
  const std::vector over{root.certificate(), root.issue(wish, make_key("P-256"))};
  CHECK_FALSE(not_valid({over.data(), 1}, now));
  const auto expired = not_valid(over, now);
  REQUIRE(expired);
  CHECK(expired->what ==
        "the certificate CN=gw.example.org expired 2027-01-14 20:00 UTC, and proves nothing any more");
  CHECK_FALSE(not_valid(over, wish.to - 1));
  const auto early = not_valid(over, wish.from - 1);
  REQUIRE(early);
  CHECK_THAT(early->what, Catch::Contains("CN=Root is not valid before 2027-01-14 08:00 UTC"));
}
