#include "control/cli/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "control/cli/unix_socket.hpp"

namespace espgate::cli {
namespace {

constexpr std::size_t read_bytes = 16 * 1024;
// Sent bytes are cut off the front of the queue once there are this many, not at every send.
constexpr std::size_t compact_bytes = 256 * 1024;
// That a pulled stream takes in one turn; then the control loop sees to everything else.
constexpr std::chrono::microseconds turn{100};

}  // namespace

Connection::Connection(UniqueFd fd, int epoll, std::uint64_t id, Limits limits)
    : fd_(std::move(fd)), epoll_(epoll), id_(id), limits_(limits), peer_(peer_of(fd_.get())) {
  watched_ = interest();
  epoll_event event{};
  event.events = watched_;
  event.data.u64 = id_;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_.get(), &event) != 0) broken_ = true;
}

Connection::~Connection() {
  if (const auto stream = stream_.lock()) stream->client_gone();
}

void Connection::receive() {
  while (!input_ended_ && !broken_ && input_.size() < limits_.request_bytes && !has_line()) {
    char buffer[read_bytes];
    const std::size_t most = std::min(sizeof buffer, limits_.request_bytes - input_.size());
    const ssize_t got = recv(fd_.get(), buffer, most, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return give_up();
    input_ended_ = got == 0;
    input_.append(buffer, static_cast<std::size_t>(got));
  }
}

std::optional<std::string> Connection::next_line() {
  if (closing_ || broken_ || streaming() || waiting() > 0) return {};
  const auto end = input_.find('\n');
  if (end == std::string::npos) return {};
  std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  last_progress_ = Clock::now();
  return line;
}

bool Connection::request_too_long() const {
  return !closing_ && input_.size() >= limits_.request_bytes && !has_line();
}

void Connection::send(std::string line) {
  if (broken_) return;
  if (waiting() == 0) last_progress_ = Clock::now();
  output_ += line;
  send_some();
  watch();
}

void Connection::flush() {
  send_some();
  refill();
}

void Connection::send_some() {
  while (!broken_ && waiting() > 0) {
    const ssize_t sent = ::send(fd_.get(), output_.data() + sent_, waiting(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return give_up();
    sent_ += static_cast<std::size_t>(sent);
    last_progress_ = Clock::now();
  }
  if (waiting() > 0 && sent_ < compact_bytes) return;
  output_.erase(0, sent_);
  sent_ = 0;
}

// What a pulled stream has ready in one turn, and no more, so that others get theirs.
void Connection::refill() {
  if (!next_ || broken_ || waiting() > 0) return;
  // What a source throws is a defect, but no reason to stop forwarding packets.
  try {
    take_items();
  } catch (const std::exception& defect) {
    output_ += error_line({std::string("the answer broke off inside espgated: ") + defect.what(),
                           "this is a defect; report it"});
    next_ = {};
  }
  send_some();
}

void Connection::take_items() {
  const auto end = Clock::now() + turn;
  while (next_ && has_room() && Clock::now() < end) {
    if (const auto item = next_()) {
      if (!item->is_null()) output_ += item_line(*item);
      continue;
    }
    output_ += result_line(result_ ? result_() : nlohmann::json::object());
    next_ = {};
    result_ = {};
  }
}

// The other end is lost. Shutting down makes the epoll set report it, also when a handler's push() was
// what noticed; the server removes the connection then.
void Connection::give_up() {
  broken_ = true;
  output_.clear();
  sent_ = 0;
  shutdown(fd_.get(), SHUT_RDWR);
}

bool Connection::done() const {
  if (broken_) return true;
  if (streaming() || waiting() > 0) return false;
  return closing_ || (input_ended_ && !has_line());
}

StreamPtr Connection::open_stream() {
  auto stream = std::make_shared<Stream>(*this);
  stream_ = stream;
  return stream;
}

void Connection::pull_from(Stream::Next next, std::function<nlohmann::json()> result) {
  stream_.reset();
  next_ = std::move(next);
  result_ = std::move(result);
  watch();
}

void Connection::end_stream(std::string last_line) {
  stream_.reset();
  send(std::move(last_line));
}

std::uint32_t Connection::interest() const {
  const bool reads = !streaming() && waiting() == 0 && !input_ended_ && !closing_ && !has_line();
  // A line that waited for the end of an answer, and a finished connection, want one more turn too.
  const bool turns = waiting() > 0 || next_ || (!streaming() && (has_line() || done()));
  return (reads ? EPOLLIN : 0u) | (turns ? EPOLLOUT : 0u);
}

void Connection::watch() {
  const std::uint32_t wanted = interest();
  if (wanted == watched_ || broken_) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id_;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_.get(), &event) == 0) watched_ = wanted;
}

}  // namespace espgate::cli
