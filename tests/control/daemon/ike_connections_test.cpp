#include "control/daemon/ike_connections.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/config/ike_settings.hpp"
#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::daemon;

namespace {

struct Text {
  std::string connection = R"(local-networks = [ "10.1.0.0/16", "10.3.0.0/16" ];
  remote-networks = [ "10.2.0.0/16" ];)";
  std::string ike = R"(psk = "correct horse battery";)";
  std::string before{};  // the connection, in the file
};

config::Connection loaded(const Text& text) {
  const config::test::Folder folder;
  const auto result = config::load(folder.write(
      "espgate.conf", fmt::format("{}{}connections = ( {{ name = \"site\"; local = \"192.0.2.1\"; "
                                  "remote = \"198.51.100.1\";\n{}\nike = {{ {} }}; }} );",
                                  config::test::minimal, text.before, text.connection, text.ike)));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.configuration);
  return result.configuration->connections.at(0);
}

// Of one without further children.
ike::ConnectionHandle made_of(const config::Connection& connection) {
  const config::Connection* const family[] = {&connection};
  return ike_connection(family);
}

}  // namespace

TEST_CASE("another reading of the same file negotiates alike, wherever in the file the connection stands") {
  CHECK(negotiates_alike(loaded({}), loaded({})));
  CHECK(negotiates_alike(loaded({}), loaded({.before = "\n\n\n"})));
}

TEST_CASE("what SAs are not made of does not matter to them") {
  for (const auto* more : {"priority = 7;", "nat-keepalive = 9;", "dummy-rate = 3;"}) {
    CAPTURE(more);
    CHECK(negotiates_alike(loaded({}), loaded({.connection = Text().connection + more})));
  }
}

TEST_CASE("every change of what is negotiated, or of what SAs are made of, is one") {
  const Text plain;
  for (const auto* more :
       {"esn = false;", "esn = true;", "replay-window = 64;", "df = \"set\";", "dscp = 8;", "ttl = 9;",
        "ecn = false;", "flow-label = false;", "tfc-padding = 64;", "encapsulation = \"udp\";",
        "follow-peer = false;",
        "selectors = ( { local = \"10.9.0.0/16\"; remote = \"10.8.0.0/16\"; protocol = \"tcp\"; } );"}) {
    CAPTURE(more);
    CHECK_FALSE(negotiates_alike(loaded(plain), loaded({.connection = plain.connection + more})));
  }
  CHECK_FALSE(negotiates_alike(
      loaded(plain), loaded({.connection = "local-networks = [ \"10.1.0.0/16\" ]; remote-networks = [ "
                                           "\"10.2.0.0/16\" ];"})));
  for (const auto* more :
       {"local-id = \"gw.example.org\";", "remote-id = \"%any\";", "suites = [ \"aes256-gcm16\" ];",
        "prfs = [ \"sha384\" ];", "key-exchanges = [ \"x25519\" ];", "child-suites = [ \"aes128-gcm16\" ];",
        "pfs = [ ];", "start = \"passive\";", "rekey-after = 600;", "expires-after = 17000;",
        "child-rekey-after = 600;", "child-expires-after = 4000;", "reauthenticate-after = 600;",
        "liveness = 0;", "fragment-bytes = 0;", "other-addresses = [ \"203.0.113.1\" ];"}) {
    CAPTURE(more);
    CHECK_FALSE(negotiates_alike(loaded(plain), loaded({.ike = plain.ike + more})));
  }
  CHECK_FALSE(negotiates_alike(loaded(plain), loaded({.ike = "psk = \"correct horse batterx\";"})));
}

TEST_CASE("manual keys are no negotiation") {
  auto manual = loaded({});
  manual.ike = nullptr;
  CHECK_FALSE(negotiates_alike(manual, loaded({})));
  CHECK_FALSE(negotiates_alike(loaded({}), manual));
  CHECK_FALSE(negotiates_alike(manual, manual));
}

TEST_CASE("the core's connection says what the file says") {
  const auto made = made_of(loaded(
      {.connection =
           R"(local-networks = [ "10.1.0.0/16", "10.3.0.0/16" ]; remote-networks = [ "10.2.0.0/16" ];
         encapsulation = "udp"; esn = false; nat-keepalive = 9;)",
       .ike = R"(psk = "correct horse battery"; start = "on-demand"; liveness = 7; fragment-bytes = 600;
         child-rekey-after = 100; child-expires-after = 200; rekey-after = 300; expires-after = 400; reauthenticate-after = 500;
         remote-id = "*.example.org"; pfs = [ ]; other-addresses = [ "203.0.113.1", "203.0.113.2" ];)"}));
  CHECK(made->name == "site");
  CHECK(made->local == net::parse_address("192.0.2.1"));
  CHECK(made->remote == net::parse_address("198.51.100.1"));
  CHECK(made->other_locals ==
        std::vector{*net::parse_address("203.0.113.1"), *net::parse_address("203.0.113.2")});
  CHECK(made->peer == "*.example.org");
  CHECK(made->start == ike::StartAction::on_demand);
  CHECK(made->force_encapsulation);
  CHECK(made->fragment_bytes == 600);
  CHECK(made->liveness_after == std::chrono::seconds(7));
  CHECK(made->nat_keepalive == std::chrono::seconds(9));
  CHECK(made->rekey_after == std::chrono::seconds(300));
  CHECK(made->expires_after == std::chrono::seconds(400));
  CHECK(made->reauthenticate_after == std::chrono::seconds(500));
  CHECK_FALSE(made->asked_peer);
  CHECK(made_of(loaded({}))->asked_peer == ike::parse_identity("198.51.100.1").value());
  REQUIRE(made->children.size() == 1);
  const auto& child = made->children[0];
  CHECK(child.name == "site");
  CHECK(child.local.size() == 2);  // each once, however many pairs it is in
  CHECK(child.remote.size() == 1);
  CHECK(child.rekey_after == std::chrono::seconds(100));
  CHECK(child.expires_after == std::chrono::seconds(200));
  CHECK(child.algorithms.key_exchanges.empty());
  CHECK_FALSE(child.algorithms.extended_sequence);
  CHECK(child.algorithms.short_sequence);
  CHECK_FALSE(child.transport);
  const auto either = made_of(loaded({}))->children[0].algorithms;
  CHECK((either.extended_sequence && either.short_sequence));
}
