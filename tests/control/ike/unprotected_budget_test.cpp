#include "control/ike/unprotected_budget.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::ike;
using namespace std::chrono_literals;

namespace {

unsigned send(UnprotectedBudget& budget, std::uint32_t to, Time now, unsigned wanted = 1'000) {
  unsigned sent = 0;
  for (unsigned i = 0; i < wanted; ++i)
    if (const auto address = net::Address::v4(to); budget.has_room(address, now)) {
      budget.took(address, now);
      ++sent;
    }
  return sent;
}

}  // namespace

TEST_CASE(
    "an address, its network and all together have limits of their own, without a seam between seconds") {
  UnprotectedBudget budget({.in_all = 100, .to_network = 25, .to_address = 4});
  unsigned to_one = 0;
  for (Time now = 1h; now < 1h + 10s; now += 10ms) to_one += send(budget, 0x0a00'0001, now);
  CHECK((to_one == 40 || to_one == 41));
  unsigned to_network = 0;
  for (Time now = 2h; now < 2h + 10s; now += 10ms)
    for (std::uint32_t host = 1; host < 255; ++host) to_network += send(budget, 0x0a00'0000 + host, now, 1);
  CHECK(to_network >= 250);
  CHECK(to_network <= 250 + 6 + 1);
  unsigned in_all = 0;
  for (Time now = 3h; now < 3h + 10s; now += 10ms)
    for (std::uint32_t network = 1; network < 200; ++network)
      in_all += send(budget, 0x0b00'0001 + 256 * network, now, 1);
  CHECK(in_all >= 1'000);
  CHECK(in_all <= 1'000 + 25 + 1);
}

TEST_CASE("what could not be sent takes nothing, and nobody is remembered for it") {
  UnprotectedBudget budget({.in_all = 100, .to_network = 25, .to_address = 4});
  for (std::uint32_t i = 0; i < 100'000; ++i) CHECK(budget.has_room(net::Address::v4(i), 1h));
  CHECK(budget.size() == 0);
  const auto room = budget.room();
  // A minute of ever new addresses: no more than of the last second or two.
  std::uint32_t to = 0;
  for (Time now = 1h; now < 1h + 60s; now += 1ms) send(budget, to += 256, now, 1);
  CHECK(budget.size() <= 225);
  CHECK(budget.room() == room);
  CHECK(room >= 225);
}
