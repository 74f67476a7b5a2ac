#include "control/daemon/journal.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "control/cli/connection.hpp"

using namespace espgate;
using namespace espgate::daemon;
using nlohmann::json;

namespace journal_test {
namespace {

// A client's end of a stream.
class Client {
 public:
  Client() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    fd_ = UniqueFd(ends[0]);
    connection_.emplace(UniqueFd(ends[1]), epoll_.get(), 2, cli::Connection::Limits{65'536, 1 << 20});
  }
  cli::StreamPtr stream() { return connection_->open_stream(); }
  // What is described bit by bit, all of it.
  void flush() {
    for (int i = 0; i < 100; ++i) connection_->flush();
  }
  void go() { connection_.reset(); }
  // The events' subjects so far, and "end" for the closing result.
  std::string subjects() {
    char bytes[65'536];
    const auto got = recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got > 0) text_.append(bytes, static_cast<std::size_t>(got));
    std::stringstream lines(text_);
    std::string all;
    for (std::string line; std::getline(lines, line);) {
      const auto document = json::parse(line);
      all += document.contains("item") ? document["item"]["subject"].get<std::string>() + " " : "end";
    }
    return all;
  }

 private:
  UniqueFd epoll_{epoll_create1(0)};
  UniqueFd fd_;
  std::optional<cli::Connection> connection_;
  std::string text_;
};

}  // namespace

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
  goes.go();
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
