// The client's side of the socket: one request, its answer line by line.
#pragma once

#include <chrono>
#include <string>

#include "control/cli/protocol.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::cli {

class Client {
 public:
  // Errors: nobody listens at `path`, or it may not be opened; the remedy says how to start the daemon.
  static Expected<Client> connect(const std::string& path);

  // `arguments` as check_arguments() returns them; those that concern only the client are left out.
  Expected<void> send(const Command& command, const nlohmann::json& arguments);

  // The next line of the answer. Waits until there is one, `patience` has passed (negative: for ever; an
  // error), or `wake_fd` (unless negative) becomes readable: then there is no message.
  Expected<std::optional<Message>> receive(std::chrono::milliseconds patience, int wake_fd = -1);

 private:
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}
  std::optional<std::string> take_line();
  Expected<bool> wait(short events, std::chrono::milliseconds patience, int wake_fd);

  UniqueFd fd_;
  std::string input_;
  std::size_t taken_ = 0;     // of input_
  std::size_t searched_ = 0;  // no line end before this
};

// Sends and collects one whole answer: the result, for streams with the items under the command's key.
Expected<nlohmann::json> ask(const std::string& path, const Command& command, const nlohmann::json& arguments,
                             std::chrono::milliseconds patience);

}  // namespace espgate::cli
