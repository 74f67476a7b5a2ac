// Postquantum preshared keys between two real cores (RFC 8784): what each side's wish comes to.
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

Connection with_ppk(Connection connection, PpkUse use, std::uint8_t id, std::uint8_t key) {
  connection.ppk_use = use;
  if (use != PpkUse::off) connection.ppks = {{{id}, Secret(std::vector<std::uint8_t>(32, key))}};
  return connection;
}

struct Wish {
  PpkUse use;
  std::uint8_t id = 1;
  std::uint8_t key = 1;
};

// Whether a tunnel comes up; its keys are compared by the traffic.
bool comes_up(Simulation& world) {
  const bool up = world.comes_up();
  CHECK(world.problem.empty());
  if (up) CHECK(world.a.established().size() == 1);
  if (!up) CHECK(world.a.installed + world.b.installed == 0);
  return up;
}

}  // namespace

TEST_CASE("a PPK is used when both have it, and a side that requires it does not go on without") {
  struct Row {
    Wish a, b;
    bool up;
  };
  constexpr auto off = PpkUse::off, optional = PpkUse::optional, required = PpkUse::required;
  const auto row = GENERATE(values<Row>({
      {{off}, {off}, true},
      {{off}, {optional}, true},
      {{off}, {required}, false},
      {{optional}, {off}, true},
      {{optional}, {optional}, true},
      {{optional}, {required}, true},
      {{required}, {off}, false},
      {{required}, {optional}, true},
      {{required}, {required}, true},
      // The responder has one of another name.
      {{optional}, {optional, 2}, true},
      {{optional}, {required, 2}, false},
      {{required}, {optional, 2}, false},
      // The name is the same, and the key is not.
      {{optional}, {optional, 1, 2}, false},
      {{required}, {required, 1, 2}, false},
  }));
  Simulation world(1, handle(with_ppk(connection_of_a(), row.a.use, row.a.id, row.a.key)),
                   handle(with_ppk(connection_of_b(), row.b.use, row.b.id, row.b.key)));
  CAPTURE(static_cast<int>(row.a.use), static_cast<int>(row.b.use), row.b.id, row.b.key);
  CHECK(comes_up(world) == row.up);
}

TEST_CASE("keys that come from the PPK's are replaced like others") {
  Simulation world(1, handle(with_ppk(connection_of_a(), PpkUse::required, 1, 1)),
                   handle(with_ppk(connection_of_b(), PpkUse::required, 1, 1)));
  REQUIRE(comes_up(world));
  world.send_traffic_every(100ms);
  world.b.handle(Rekey{"b", ""});
  world.run_for(3s);
  world.a.handle(Rekey{"a", "net"});
  world.run_for(3s);
  CHECK(world.is_well());
  CHECK(world.problem.empty());
  CHECK(world.a.missed + world.b.missed == 0);
}

TEST_CASE("public-key work that is refused leaves the keys as they were for the next try") {
  Simulation world(1, handle(with_ppk(connection_of_a(), PpkUse::required, 1, 1)),
                   handle(with_ppk(connection_of_b(), PpkUse::required, 1, 1)));
  bool refused = false;
  world.works = [&](Node& node, const RunWork& work) {
    if (&node != &world.b || refused || node.core().half_open() == 0 ||
        node.core().ike_sas().front()->state() != IkeSa::State::keyed)
      return true;
    refused = true;
    world.after(1ms, [&node, ticket = work.ticket] { node.handle(WorkFinished{ticket, false}); });
    return false;
  };
  CHECK(comes_up(world));
  CHECK(refused);
}
