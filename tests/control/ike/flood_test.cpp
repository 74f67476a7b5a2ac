// Many who only begin.
#include <catch2/catch.hpp>

#include "control/ike/write.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

TEST_CASE("a flood of strangers holds little, disturbs no tunnel, and keeps no peer out") {
  Limits limits;
  limits.half_open_cookies = 100;
  auto of_b = connection_of_b();
  of_b.remote.reset();
  of_b.children[0].rekey_after = 30s;
  Simulation world(1, handle(connection_of_a()), handle(of_b), limits);
  world.a.handle(Initiate{"a", ""});
  REQUIRE(world.run_until([&] { return world.is_well(); }, 10s));
  const auto installed = world.b.installed;
  world.send_traffic_every(100ms);
  const std::vector<std::uint8_t> value(32, 9), nonce(32, 3);
  std::size_t answered = 0;
  world.passes = [&](const SendDatagram& datagram) {
    const bool to_stranger = datagram.to.address != *of_b.local && datagram.to.address != world.a.address();
    answered += to_stranger;
    return !to_stranger;
  };
  PayloadWriter payloads;
  payloads.add(offer(of_b.algorithms, {})).add(KeyExchange{31, value}).add_nonce(nonce);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    Header header;
    header.initiator_spi = i + 1;
    header.flags = flag_initiator;
    world.b.handle(DatagramReceived{
        {net::Address::v4(0x0a000000 + i), 500}, {*of_b.local, 500}, write_message(header, payloads)});
    if (i % 1'000 == 0) world.run_for(1s);
  }
  CHECK(world.b.core().half_open() <= 101);
  CHECK(world.b.core().ike_sas().size() <= 110);
  CHECK(answered > 99'000);
  CHECK(world.is_well_for("net"));
  CHECK(world.b.installed >= installed + 3);  // rekeyed meanwhile
  CHECK(world.a.missed + world.b.missed == 0);
  // A peer that comes in the midst of it.
  world.a.restart();
  world.a.handle(Initiate{"a", ""});
  CHECK(world.run_until([&] { return world.is_well_for("net"); }, 20s));
}
