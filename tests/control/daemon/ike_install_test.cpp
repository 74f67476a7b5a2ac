// What the datapath does not take: what becomes of the child, and what is said of why.
#include "tests/control/daemon/two_services.hpp"

namespace espgate::test {
namespace {

using Catch::Contains;

TEST_CASE("A child whose SAs the datapath does not take goes at the peer, too, and is made again later") {
  Two two;
  two.start();
  const auto was = two.a.spis();
  two.a.sas.engine.refuse = true;
  REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
  two.until([&] { return !two.a.is_up() && !two.b.is_up(); });
  CHECK_THAT(two.a.ike->down_because("site"), Contains("SA was not installed: refused"));
  // Nothing is sent on what the peer has no more.
  CHECK(two.a.spis().out == 0);
  CHECK(two.a.ike->core().ike_sas().size() == 1);
  CHECK(two.a.ike->core().ike_sas()[0]->child_failures().kind("site") == ike::Failing::fault);
  two.settle();
  two.a.sas.engine.refuse = false;
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(two.a.spis().in != was.in);
  CHECK(two.b.spis() == two.a.spis().turned());
}

TEST_CASE("A child for which the datapath has no place says that room is wanting") {
  Two two;
  two.start();
  sa::SaParameters others;
  others.spi = 0x777;
  others.suite = crypto::SuiteId::aes_gcm_16_128;
  others.keymat.resize(crypto::suite(others.suite).keymat_bytes());
  others.local = *net::parse_address("192.0.2.1");
  others.remote = *net::parse_address("192.0.2.9");
  while (two.a.sas.store->install_outbound(others, 1)) continue;
  REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
  two.until([&] { return !two.a.is_up() && !two.b.is_up(); });
  CHECK_THAT(two.a.ike->down_because("site"), Contains("outbound SAs are in use; raise limits.outbound-sas"));
  CHECK(two.a.ike->core().ike_sas()[0]->child_failures().kind("site") == ike::Failing::no_room);
}

}  // namespace
}  // namespace espgate::test
