// What is told of connections that do not come up, as `show events` and `monitor` have it.
#include <fmt/format.h>

#include "tests/control/daemon/event_client.hpp"
#include "tests/control/daemon/two_services.hpp"

namespace espgate::test {
namespace {

using Catch::Contains;
using daemon::EventKind;

// Who hears of a side's failures from now on.
struct Hears : daemon::test::EventClient {
  explicit Hears(Side& side) {
    side.journal.show({.follow = true, .kinds = {EventKind::connection_failed}}, stream());
  }
};

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_CASE("A connection that is refused is told of once at both ends, however often it is tried") {
  Two two;
  Hears at_a(two.a), at_b(two.b);
  two.a.configure(std::string(psk) + "local-id = \"other.example.org\";");
  two.b.configure(std::string(psk) + "start = \"passive\";");
  two.until([&] { return count(two.b.said(), "other.example.org") >= 2; });
  two.until([&] { return count(two.a.said(), "IKE SA is gone") >= 2; });
  REQUIRE(at_a.subjects() == "site ");
  CHECK(at_a.texts()[0] == two.a.ike->failure("site"));
  CHECK_THAT(at_a.texts()[0], Contains("does not accept that we are other.example.org"));
  REQUIRE(at_b.subjects() == "site ");
  CHECK(at_b.texts()[0] == two.b.ike->failure("site"));

  // For another reason, and once an operator has asked for it again.
  two.a.configure(std::string(psk) + "local-id = \"third.example.org\";");
  two.until([&] { return at_a.texts().size() == 2; });
  CHECK_THAT(at_a.texts()[1], Contains("does not accept that we are third.example.org"));
  REQUIRE(two.a.ike->initiate("site", daemon::now()));
  two.until([&] { return at_a.texts().size() == 3; });
  CHECK(at_a.texts()[2] == at_a.texts()[1]);

  two.a.configure(std::string(psk));
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(at_a.texts().size() == 3);
}

TEST_CASE("A child that is refused is told of under its name") {
  Two two;
  Hears at_a(two.a), at_b(two.b);
  two.a.children = {{"voice", 1}};
  two.b.children = {{"voice", 2}};
  two.start();
  two.until([&] { return !at_a.texts().empty() && !at_b.texts().empty(); });
  CHECK(at_a.subjects() == "voice ");
  CHECK_THAT(at_a.texts()[0], Contains("TS_UNACCEPTABLE"));
  CHECK(two.a.ike->core().ike_sas_of("site").at(0)->child_failures().of("voice") == at_a.texts()[0]);
  CHECK(at_b.subjects() == "site ");  // whose IKE SA it is: no child there fits
  CHECK_THAT(at_b.texts()[0], Contains("a child of the peer's is refused with TS_UNACCEPTABLE"));
}

TEST_CASE("A failed rekey of what is up is no failure to come up") {
  Two two;
  Hears hears(two.a);
  two.start(" pfs = [ \"x25519\" ];", " pfs = [ \"ecp256\" ];");
  REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
  two.until([&] { return !two.a.ike->core().ike_sas_of("site").at(0)->child_failures().of("site").empty(); });
  CHECK(two.a.is_up());
  CHECK(hears.texts().empty());
}

TEST_CASE("What cannot be installed is told once, with going down or with not coming up") {
  Two two;
  Hears hears(two.a);
  SECTION("going down") {
    two.start();
    two.a.sas.engine.refuse = true;
    REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
    two.until([&] { return !two.a.is_up() && !two.b.is_up(); });
    two.settle();
    CHECK(hears.texts().empty());  // that it is down said why
  }
  SECTION("not coming up") {
    two.a.sas.engine.refuse = true;
    two.a.configure(std::string(psk));
    two.b.configure(std::string(psk) + "start = \"passive\";");
    two.until([&] { return !hears.texts().empty(); });
    CHECK_THAT(hears.texts()[0], Contains("SA was not installed: refused"));
  }
}

// As side b sees it, peers at any address.
void any_peers(Side& b, const std::string& networks) {
  const config::test::Folder folder;
  auto loaded = config::load(folder.write(
      "espgate.conf",
      fmt::format(
          "{}connections = ( {{ name = \"road\"; local = \"192.0.2.2\"; remote = \"any\"; local-networks = [ "
          "\"10.2.0.0/16\" ]; remote-networks = [ \"{}\" ]; ike = {{ {} remote-id = \"%any\"; suites = [ "
          "\"aes256-gcm16\" ]; }}; }} );",
          config::test::minimal, networks, psk)));
  for (const auto& error : loaded.errors) FAIL_CHECK(error.text());
  REQUIRE(loaded.configuration);
  if (!b.ike) b.ike.emplace(b.parts(), loaded.configuration->limits);
  REQUIRE(b.sas.manager.configure(*loaded.configuration, daemon::now()).problems.empty());
  b.ike->configure(*loaded.configuration, daemon::now());
}

TEST_CASE(
    "Of peers at any address who comes as far as IKE_AUTH is told of with its address, and no stranger") {
  Two two;
  Hears hears(two.b);
  SECTION("whose key is another") {
    two.a.configure("psk = \"another key of the same length\";");
    any_peers(two.b, "10.0.0.0/8");
    two.until([&] { return count(two.a.said(), "IKE SA is gone") >= 2; });
    REQUIRE(hears.subjects() == "road ");
    CHECK_THAT(hears.texts()[0], Contains("192.0.2.1:500: ") && Contains("shared key"));
  }
  SECTION("whose networks are others") {
    two.a.configure(std::string(psk));
    any_peers(two.b, "10.99.0.0/16");
    two.until([&] { return !hears.texts().empty(); });
    CHECK(hears.subjects() == "road ");
    CHECK_THAT(hears.texts()[0], Contains("192.0.2.1:500 has an IKE SA, and no child SA: "));
  }
  SECTION("who only begins") {
    two.a.configure(std::string(psk) + "suites = [ \"aes128-gcm16\" ]; tries = 1;");
    any_peers(two.b, "10.0.0.0/8");
    two.until([&] { return two.a.ike->failure("site").find("NO_PROPOSAL_CHOSEN") != std::string::npos; });
    CHECK_FALSE(two.b.ike->failure("road").empty());
    CHECK(hears.texts().empty());
  }
}

}  // namespace
}  // namespace espgate::test
