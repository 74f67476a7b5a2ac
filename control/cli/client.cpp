#include "control/cli/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "control/cli/arguments.hpp"
#include "control/cli/unix_socket.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

constexpr std::size_t read_bytes = 256 * 1024;
constexpr auto send_patience = std::chrono::seconds(10);

Error gone() {
  return {"espgated closed the connection in the middle of its answer",
          "see the daemon's log, then try again"};
}

}  // namespace

Expected<Client> Client::connect(const std::string& path) {
  auto fd = connect_unix(path);
  if (fd) return Client(std::move(*fd));
  if (!fd.error().what.empty()) return fd.error();
  const bool stale = access(path.c_str(), F_OK) == 0;
  return Error{
      fmt::format("espgated is not running ({} {})", stale ? "nobody listens at" : "no socket at", path),
      "start it with `systemctl start espgated` or `espgated --config FILE`, or name its socket with "
      "--socket"};
}

// True: the socket is ready; false: wake_fd is.
Expected<bool> Client::wait(short events, std::chrono::milliseconds patience, int wake_fd) {
  pollfd watched[] = {{fd_.get(), events, 0}, {wake_fd, POLLIN, 0}};
  const int ready = poll(watched, 2, static_cast<int>(patience.count()));
  if (ready < 0 && errno != EINTR) return Error{fmt::format("waiting failed: {}", std::strerror(errno)), ""};
  if (ready == 0) {
    return Error{fmt::format("espgated has not answered for {} s", patience.count() / 1000),
                 "see whether it is stopped or overloaded"};
  }
  return ready < 0 || (watched[1].revents & POLLIN) == 0;
}

Expected<void> Client::send(const Command& command, const json& arguments) {
  const std::string line = request_line(command, for_daemon(command, arguments));
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // turned away: why is to be read
    } else if (errno == EAGAIN) {
      if (auto ready = wait(POLLOUT, send_patience, -1); !ready) return ready.error();
    } else if (errno != EINTR) {
      return Error{fmt::format("cannot send to espgated: {}", std::strerror(errno)), "try again"};
    }
  }
  return {};
}

std::optional<std::string> Client::take_line() {
  const auto end = input_.find('\n', searched_);
  if (end == std::string::npos) {
    input_.erase(0, taken_);
    taken_ = 0;
    searched_ = input_.size();
    return {};
  }
  std::string line = input_.substr(taken_, end - taken_);
  taken_ = searched_ = end + 1;
  return line;
}

Expected<std::optional<Message>> Client::receive(std::chrono::milliseconds patience, int wake_fd) {
  for (;;) {
    if (const auto line = take_line()) {
      auto message = parse_message(*line);
      if (!message) return message.error();
      return std::optional(std::move(*message));
    }
    auto ready = wait(POLLIN, patience, wake_fd);
    if (!ready) return ready.error();
    if (!*ready) return std::optional<Message>();
    const std::size_t before = input_.size();
    input_.resize(before + read_bytes);
    const ssize_t got = recv(fd_.get(), input_.data() + before, read_bytes, MSG_DONTWAIT);
    input_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return gone();
  }
}

Expected<json> ask(const std::string& path, const Command& command, const json& arguments,
                   std::chrono::milliseconds patience) {
  auto client = Client::connect(path);
  if (!client) return client.error();
  if (auto sent = client->send(command, arguments); !sent) return sent.error();
  json items = json::array();
  for (;;) {
    auto message = client->receive(patience);
    if (!message) return message.error();
    auto& body = (*message)->body;
    if ((*message)->kind == Message::Kind::error) return error_from_json(body);
    if ((*message)->kind == Message::Kind::item) {
      items.push_back(std::move(body));
      continue;
    }
    if (command.where == Where::stream) body[std::string(command.items)] = std::move(items);
    return std::move(body);
  }
}

}  // namespace espgate::cli
