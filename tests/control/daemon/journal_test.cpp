#include "control/daemon/journal.hpp"

#include "tests/control/daemon/event_client.hpp"

using namespace espgate;
using namespace espgate::daemon;

namespace journal_test {

using Client = daemon::test::EventClient;

TEST_CASE("Events at hand and those to come, of all kinds or of some") {
  Journal journal;
  journal.add(EventKind::reload, "one", "", {});
  journal.add(EventKind::invalid_spi, "two", "", {}, {{"spi", "0x00001001"}});
  Client at_hand, follows, monitors, picks;
  journal.show({}, at_hand.stream());
  journal.show({.follow = true}, follows.stream());
  journal.show({.at_hand = false, .follow = true}, monitors.stream());
  journal.show({.follow = true, .kinds = {EventKind::invalid_spi, EventKind::port_up}}, picks.stream());
  journal.add(EventKind::reload, "three", "", {});
  journal.add(EventKind::port_up, "four", "", {});
  at_hand.flush();
  CHECK(at_hand.subjects() == "one two end");
  CHECK(follows.subjects() == "one two three four ");
  CHECK(monitors.subjects() == "three four ");
  CHECK(picks.subjects() == "two four ");

  Client some;
  journal.show({.kinds = {EventKind::reload}}, some.stream());
  some.flush();
  CHECK(some.subjects() == "one three end");
}

TEST_CASE("A follower that goes is forgotten, and the others go on") {
  Journal journal;
  Client stays, goes;
  for (auto* client : {&stays, &goes}) journal.show({.at_hand = false, .follow = true}, client->stream());
  goes.leave();
  journal.add(EventKind::reload, "one", "", {});
  CHECK(stays.subjects() == "one ");
  journal.close();
  CHECK(stays.subjects() == "one end");
}

TEST_CASE("The names of the kinds lead back to them") {
  for (const auto name : cli::event_kind_names) CHECK(cli::name(*cli::find_event_kind(name)) == name);
  CHECK(cli::name(EventKind::invalid_spi_flood_over) == "invalid-spi-flood-over");
  CHECK_FALSE(cli::find_event_kind("invalid_spi"));
}

}  // namespace journal_test
