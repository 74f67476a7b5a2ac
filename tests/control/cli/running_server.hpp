// A server on a thread of its own and a socket in a folder of its own; both go with it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "control/cli/server.hpp"

namespace espgate::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class RunningServer {
 public:
  // `options.path` is set by this. Throws when the server does not start.
  explicit RunningServer(cli::Handlers handlers, cli::ServerOptions options = {});
  ~RunningServer();

  const std::string& path() const { return path_; }
  // Runs on the server's thread; returns when it has run.
  void on_thread(const std::function<void(cli::Server&)>& work);
  // Waits up to 5 s for the server's number of clients.
  bool reaches_clients(std::size_t count);

 private:
  void loop();

  TemporaryFolder folder_;
  std::string path_;
  std::unique_ptr<cli::Server> server_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::condition_variable ran_;
  const std::function<void(cli::Server&)>* work_ = nullptr;
  bool stop_ = false;
  std::thread thread_;
};

// A client that sends and reads raw bytes, with 5 s of patience.
class RawClient {
 public:
  explicit RawClient(const std::string& path);

  // False when the server has closed.
  bool send(const std::string& bytes);
  // With its line end; "" when the server closed first, or has nothing to say.
  std::string line();
  // True when the server has closed the connection.
  bool closed();
  void half_close();
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::string input_;
};

}  // namespace espgate::test
