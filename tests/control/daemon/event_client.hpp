// A client's end of the stream that a journal tells its events on.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "control/cli/connection.hpp"
#include "control/daemon/journal.hpp"

namespace espgate::daemon::test {

class EventClient {
 public:
  EventClient() {
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
  // Each line so far.
  std::vector<nlohmann::json> documents() {
    char bytes[65'536];
    for (ssize_t got; (got = recv(fd_.get(), bytes, sizeof bytes, 0)) > 0;)
      text_.append(bytes, static_cast<std::size_t>(got));
    std::stringstream lines(text_);
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  // The events' subjects so far, and "end" for the closing result.
  std::string subjects() {
    std::string all;
    for (const auto& document : documents())
      all += document.contains("item") ? document["item"]["subject"].get<std::string>() + " " : "end";
    return all;
  }
  // Of each event so far.
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (const auto& document : documents())
      if (document.contains("item")) all.push_back(document["item"]["text"]);
    return all;
  }

 private:
  UniqueFd epoll_{epoll_create1(0)};
  UniqueFd fd_;
  std::optional<cli::Connection> connection_;
  std::string text_;
};

}  // namespace espgate::daemon::test
