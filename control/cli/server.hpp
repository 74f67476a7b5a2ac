// The daemon's side of the socket: takes requests, calls the handlers, sends their answers. Runs on the
// control thread, never blocks, and bounds what clients can cost it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/cli/connection.hpp"
#include "control/cli/protocol.hpp"
#include "control/cli/stream.hpp"
#include "control/cli/unix_socket.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::cli {

// Returns what the command table documents as the command's result.
using Handler = std::function<Expected<nlohmann::json>(const Request&)>;
// Sends items by the stream, now or later, and finishes it. An error returned is the answer.
using StreamHandler = std::function<Expected<void>(const Request&, StreamPtr)>;

// One handler a command that the daemon answers.
class Handlers {
 public:
  // Commands of Where::answer.
  void answer(CommandId id, Handler handler) { answers_[id] = std::move(handler); }
  // Commands of Where::stream, and those of Where::answer whose answer comes later: they only finish().
  void stream(CommandId id, StreamHandler handler) { streams_[id] = std::move(handler); }

  const Handler* find_answer(CommandId id) const;
  const StreamHandler* find_stream(CommandId id) const;
  // Paths of the commands that have no handler of their kind.
  std::vector<std::string> missing() const;

 private:
  std::unordered_map<CommandId, Handler> answers_;
  std::unordered_map<CommandId, StreamHandler> streams_;
};

struct ServerOptions {
  std::string path{default_socket};
  mode_t mode = 0600;
  std::size_t clients = 64;  // one more is told so and turned away
  std::size_t request_bytes = 64 * 1024;
  std::size_t answer_bytes = 64 << 20;      // a longer answer becomes an error
  std::size_t queue_bytes = 1 << 20;        // a stream's unread bytes before it holds back
  std::chrono::milliseconds idle{30'000};   // a client that asks nothing is dropped
  std::chrono::milliseconds stall{30'000};  // a client that does not read its answer is dropped
  // One line for the log: requests that change something, clients that were dropped.
  std::function<void(const std::string&)> log{};
};

class Server {
 public:
  // Errors: a handler is missing, or as ListeningSocket::open().
  static Expected<std::unique_ptr<Server>> start(ServerOptions options, Handlers handlers);
  ~Server();

  // Readable when serve() has something to do; an epoll set for use inside another one.
  int fd() const { return epoll_.get(); }
  // Does what is to be done now. May call handlers and streams' callbacks.
  void serve();
  std::size_t clients() const { return connections_.size(); }

 private:
  Server(ServerOptions options, Handlers handlers, ListeningSocket listener);
  Expected<void> watch();
  void listen_again(bool on);
  void set_timer();
  void accept_clients();
  void turn_away(int fd);
  void work(Connection& connection, std::uint32_t events);
  void answer(Connection& connection, const std::string& line);
  void dispatch(Connection& connection, const Request& request);
  void expire();
  void remove(std::uint64_t id);
  void note(const Peer& peer, const std::string& what) const;

  ServerOptions options_;
  Handlers handlers_;
  ListeningSocket listener_;
  UniqueFd epoll_;
  UniqueFd timer_;
  bool timer_runs_ = false;
  bool listening_ = true;
  std::uint64_t next_id_ = 2;  // 0 and 1 mark the listener's and the timer's events
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
};

}  // namespace espgate::cli
