// One client of the server: its lines in, its lines out. Never blocks. Internal to control/cli.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "control/cli/protocol.hpp"
#include "control/cli/stream.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::cli {

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    std::size_t request_bytes;  // longest line, its end included
    std::size_t queue_bytes;    // answer bytes that wait for the client before a stream has to hold back
  };

  // Watches `fd` in the epoll set, with `id` as the events' data.
  Connection(UniqueFd fd, int epoll, std::uint64_t id, Limits limits);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  // Tells the stream that the client has gone.
  ~Connection();

  Peer peer() const { return peer_; }

  // Reads what has come, no more than a request may hold.
  void receive();
  // The next complete line, without its end. Nothing while an answer is still being made or sent.
  std::optional<std::string> next_line();
  bool request_too_long() const;

  void send(std::string line);
  bool has_room() const { return waiting() < limits_.queue_bytes; }
  // Sends what the kernel takes, and refills from a pulled stream.
  void flush();
  // No more requests; done() once all is sent.
  void close_when_sent() { closing_ = true; }
  // The epoll set says that the other end is lost.
  void abandon() { broken_ = true; }
  // The other end is lost, or there is nothing left to do for it.
  bool done() const;

  StreamPtr open_stream();
  void pull_from(Stream::Next next, std::function<nlohmann::json()> result);
  void end_stream(std::string last_line);

  // Tells the epoll set what is waited for now.
  void watch();

  bool awaits_request() const { return !streaming() && waiting() == 0; }
  bool awaits_reader() const { return waiting() > 0; }
  // When a request was last taken or a byte sent. Bytes of an unfinished request do not count: a client
  // that trickles them is as idle as one that sends none.
  Clock::time_point last_progress() const { return last_progress_; }

 private:
  std::size_t waiting() const { return output_.size() - sent_; }
  bool streaming() const { return !stream_.expired() || next_; }
  bool has_line() const { return input_.find('\n') != std::string::npos; }
  void send_some();
  void refill();
  void take_items();
  void give_up();
  std::uint32_t interest() const;

  UniqueFd fd_;
  int epoll_;
  std::uint64_t id_;
  Limits limits_;
  Peer peer_;
  std::string input_;
  std::string output_;
  std::size_t sent_ = 0;  // of output_
  std::weak_ptr<Stream> stream_;
  Stream::Next next_;
  std::function<nlohmann::json()> result_;
  bool closing_ = false;
  bool input_ended_ = false;
  bool broken_ = false;
  std::uint32_t watched_ = 0;
  Clock::time_point last_progress_ = Clock::now();
};

}  // namespace espgate::cli
