// The timers of many SAs: none is late, none is lost, and a step is one SA's.
#include "control/ike/deadlines.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "control/ike/core.hpp"
#include "control/ike/write.hpp"
#include "tests/control/ike/simulation.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

const auto many = testing::many(100'000u);

}  // namespace

TEST_CASE("of 100,000 deadlines that move again and again, each is due once, at its time") {
  Deadlines deadlines;
  deadlines.reserve(many);
  std::mt19937_64 random(1);
  std::vector<Time> wanted(many + 1, never);
  const auto set = [&](SaId sa, Time at) {
    wanted[sa] = at;
    deadlines.set(sa, at);
  };
  for (SaId sa = 1; sa <= many; ++sa) set(sa, 1h + Time(random() % 1'000'000) * 1'000);
  for (unsigned i = 0; i < many; ++i) {  // as messages come, and SAs go
    const SaId sa = 1 + random() % many;
    set(sa, i % 10 == 0 ? never : 1h + Time(random() % 1'000'000) * 1'000);
  }
  std::size_t left = 0;
  for (const auto at : wanted) left += at != never;
  Time now{};
  for (; deadlines.next() != never; --left) {
    REQUIRE(left > 0);
    REQUIRE(deadlines.next() >= now);
    now = deadlines.next();
    CHECK(deadlines.due(now - Time(1)) == 0);
    const auto sa = deadlines.due(now);
    REQUIRE((sa != 0 && wanted[sa] == now));
    set(sa, never);
  }
  CHECK(left == 0);
}

TEST_CASE("100,000 IKE SAs that nobody finishes end when they should, one a step") {
  Limits limits;
  limits.ike_sas = limits.half_open = limits.half_open_cookies = many + 1;
  auto connection = connection_of_b();
  connection.remote.reset();
  std::mt19937_64 random(1);
  IkeCore core({.random =
                    [&](std::span<std::uint8_t> bytes) {
                      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
                    },
                .child_spi = [](const std::string&) { return std::optional<std::uint32_t>(); }},
               limits);
  Time now = 1s;
  core.configure({handle(connection)}, now);
  const std::vector<std::uint8_t> value(32, 9), nonce(32, 3);
  PayloadWriter payloads;
  payloads.add(offer(connection.algorithms, {})).add(KeyExchange{31, value}).add_nonce(nonce);
  constexpr Time apart = 100us;
  const auto begin = now;
  for (std::uint32_t i = 0; i < many; ++i, now += apart) {
    Header header;
    header.initiator_spi = i + 1;
    header.flags = flag_initiator;
    core.handle(DatagramReceived{{net::Address::v4(0x0a000000 + i), 500},
                                 {*connection.local, 500},
                                 write_message(header, payloads)},
                now);
  }
  REQUIRE(core.ike_sa_count() == many);
  REQUIRE(core.half_open() == many);

  std::size_t forgotten = 0;
  while (core.deadline() != never) {
    REQUIRE(core.deadline() >= now);
    now = core.deadline();
    const auto sas = core.ike_sa_count();
    const auto* oldest = core.next_after(0);
    REQUIRE(oldest != nullptr);
    const auto id = oldest->id();
    CHECK(core.handle(TimerExpired{}, now).size() <= 2);  // a line, and no work of others
    REQUIRE(sas - core.ike_sa_count() == 1);
    CHECK(core.ike_sa(id) == nullptr);  // in the order in which they came
    CHECK(now == begin + forgotten * apart + limits.half_open_life);
    ++forgotten;
  }
  CHECK(forgotten == many);
  CHECK(core.is_empty());
  CHECK(core.half_open() == 0);
}
