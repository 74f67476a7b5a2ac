// Both ends of a control connection: the server's, whose stream something is told on, and the client's.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "control/cli/connection.hpp"

namespace espgate::daemon::test {

class StreamClient {
 public:
  StreamClient() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    ours_ = UniqueFd(ends[0]);
    connection_.emplace(UniqueFd(ends[1]), epoll_.get(), 2, cli::Connection::Limits{1 << 16, 1 << 20});
  }
  cli::StreamPtr stream() { return connection_->open_stream(); }
  // What is described bit by bit, all of it.
  void flush() {
    for (int i = 0; i < 100; ++i) connection_->flush();
  }
  void leave() { connection_.reset(); }
  // What has come since the last time.
  std::string arrived() {
    std::string text;
    char bytes[1 << 16];
    for (ssize_t got; (got = recv(ours_.get(), bytes, sizeof bytes, 0)) > 0;)
      text.append(bytes, static_cast<std::size_t>(got));
    return text;
  }

 private:
  UniqueFd epoll_{epoll_create1(0)};
  UniqueFd ours_;
  std::optional<cli::Connection> connection_;
};

}  // namespace espgate::daemon::test
