#include "drivers/host/silence.hpp"

#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

const host::Mac stranger{2, 0, 0, 0, 0, 0x77};

bool kernel_answers(host::Tap& tap) {
  const host::Mac anybody{};
  REQUIRE(tap.write(arp(1, stranger, address("10.0.0.9"), anybody, address("10.0.0.1"))));
  return !next_frame(
              tap, [](const Frame& frame) { return is_arp(frame, 2, address("10.0.0.9")); },
              std::chrono::milliseconds(300))
              .empty();
}

}  // namespace

TEST_CASE("The kernel hears nothing of a silenced interface, and all of it again afterwards") {
  auto tap = make_tap("silent0", 1);
  run("ip addr add 10.0.0.1/24 dev silent0");
  REQUIRE(kernel_answers(tap));
  {
    const auto silence = host::Silence::over({"silent0"});
    if (!silence) FAIL(silence.error().text());
    CHECK_FALSE(kernel_answers(tap));
    run_quietly("nft flush ruleset");  // as a firewall does that is restarted
    CHECK_FALSE(kernel_answers(tap));
  }
  CHECK(kernel_answers(tap));
}

TEST_CASE("A silence that cannot be is an error that names the interface") {
  const auto tap = make_tap("twice0", 1);
  const auto silence = host::Silence::over({"twice0", "twice0"});  // one chain for each name
  REQUIRE_FALSE(silence);
  CHECK_THAT(silence.error().what, Catch::Contains("twice0") && Catch::Contains("File exists"));
}

}  // namespace espgate::test
