#include "control/daemon/late_datagrams.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace espgate;
using namespace espgate::daemon;
using namespace std::chrono_literals;

namespace {

struct World {
  void send(const char* to, std::uint8_t what) {
    late.sent(net::parse_address(to).value(), std::vector<std::uint8_t>{what}, now);
  }
  void miss(const char* to) { late.was_unreachable(net::parse_address(to).value(), now); }
  std::string due(std::chrono::nanoseconds after) {
    now += after;
    std::string sent;
    late.send_due(now, [&](std::span<const std::uint8_t> packet) { sent += static_cast<char>(packet[0]); });
    return sent;
  }
  LateDatagrams late;
  std::chrono::nanoseconds now{1h};
};

}  // namespace

TEST_CASE("what found no neighbour is sent again soon, once for each time") {
  World world;
  world.send("192.0.2.1", 'a');
  world.send("192.0.2.2", 'b');
  world.send("192.0.2.1", 'c');
  CHECK(world.due(20ms).empty());
  world.miss("192.0.2.1");
  world.miss("192.0.2.1");
  CHECK(world.due(9ms).empty());
  CHECK(world.due(1ms) == "ac");
  CHECK(world.due(100ms).empty());
}

TEST_CASE("it is tried a few times, ever later, and then forgotten") {
  World world;
  world.send("192.0.2.1", 'a');
  for (const auto wait : {10ms, 20ms, 40ms, 80ms}) {
    world.miss("192.0.2.1");
    CHECK(world.due(wait - 1ms).empty());
    CHECK(world.due(1ms) == "a");
  }
  world.miss("192.0.2.1");
  CHECK(world.due(1s).empty());
  world.send("192.0.2.1", 'b');
  CHECK(world.due(201ms).empty());
  world.miss("192.0.2.1");  // too late for it
  CHECK(world.due(1s).empty());
}

TEST_CASE("of many the last are remembered") {
  World world;
  for (std::size_t i = 0; i < LateDatagrams::most + 3; ++i) world.send("192.0.2.1", i < 3 ? 'x' : 'y');
  world.miss("192.0.2.1");
  CHECK(world.due(10ms) == std::string(LateDatagrams::most, 'y'));
}
