#include "control/cli/server.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace espgate::cli {
namespace {

using nlohmann::json;

constexpr std::uint64_t listener_id = 0;
constexpr std::uint64_t timer_id = 1;
constexpr int events_a_turn = 4;  // through which the kernel goes in turn
constexpr int accepts_a_turn = 4;

Expected<void> add(int epoll, int fd, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Error{fmt::format("cannot watch the CLI socket: {}", std::strerror(errno)),
               "raise the limit on open files"};
}

}  // namespace

const Handler* Handlers::find_answer(CommandId id) const {
  const auto found = answers_.find(id);
  return found == answers_.end() || !found->second ? nullptr : &found->second;
}

const StreamHandler* Handlers::find_stream(CommandId id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() || !found->second ? nullptr : &found->second;
}

std::vector<std::string> Handlers::missing() const {
  std::vector<std::string> paths;
  for (const auto& entry : commands()) {
    const bool streams = find_stream(entry.id) != nullptr;
    const bool lacks = (entry.where == Where::answer && find_answer(entry.id) == nullptr && !streams) ||
                       (entry.where == Where::stream && !streams);
    if (lacks) paths.emplace_back(entry.path);
  }
  return paths;
}

Expected<std::unique_ptr<Server>> Server::start(ServerOptions options, Handlers handlers) {
  if (const auto missing = handlers.missing(); !missing.empty()) {
    return Error{fmt::format("no handler for the commands: {}", fmt::join(missing, ", ")),
                 "this is a defect of espgated; report it"};
  }
  auto listener = ListeningSocket::open(options.path, options.mode);
  if (!listener) return listener.error();
  std::unique_ptr<Server> server(new Server(std::move(options), std::move(handlers), std::move(*listener)));
  if (auto watched = server->watch(); !watched) return watched.error();
  return server;
}

Server::Server(ServerOptions options, Handlers handlers, ListeningSocket listener)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      listener_(std::move(listener)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {}

Server::~Server() {
  // Closing tells streams, whose callbacks must not find a half-destroyed server.
  while (!connections_.empty()) remove(connections_.begin()->first);
}

Expected<void> Server::watch() {
  if (auto added = add(epoll_.get(), listener_.fd(), listener_id); !added) return added;
  return add(epoll_.get(), timer_.get(), timer_id);
}

void Server::serve() {
  std::array<epoll_event, events_a_turn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events_a_turn, 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const std::uint64_t id = event.data.u64;  // a copy: the kernel's struct is packed
    if (id == listener_id) {
      accept_clients();
    } else if (id == timer_id) {
      expire();
    } else if (const auto found = connections_.find(id); found != connections_.end()) {
      work(*found->second, event.events);
      if (found->second->done()) remove(id);
    }
  }
}

void Server::accept_clients() {
  for (int i = 0; i < accepts_a_turn; ++i) {
    UniqueFd fd(accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
      return listen_again(false);
    }
    if (!fd) return;
    if (connections_.size() >= options_.clients) {
      turn_away(fd.get());
      continue;
    }
    const std::uint64_t id = next_id_++;
    const Connection::Limits limits{options_.request_bytes, options_.queue_bytes};
    connections_.emplace(id, std::make_unique<Connection>(std::move(fd), epoll_.get(), id, limits));
    set_timer();
  }
}

// Out of descriptors the listener would be ready for ever; it rests until the next tick.
void Server::listen_again(bool on) {
  if (listening_ == on) return;
  listening_ = on;
  epoll_event event{};
  event.events = on ? EPOLLIN : 0u;
  event.data.u64 = listener_id;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.fd(), &event);
  set_timer();
}

void Server::turn_away(int fd) {
  const std::string line = error_line(
      {fmt::format("espgated has {} clients already", options_.clients), "end some of them and try again"});
  note(peer_of(fd), "turned away, too many clients");
  // One short line into an empty socket: it fits or nobody is there.
  [[maybe_unused]] const auto sent = send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Server::work(Connection& connection, std::uint32_t events) {
  const bool lost = (events & (EPOLLHUP | EPOLLERR)) != 0;
  connection.receive();
  connection.flush();
  if (const auto line = connection.next_line()) {  // of several the next has the next turn
    answer(connection, *line);
    connection.receive();
  }
  if (connection.request_too_long()) {
    connection.close_when_sent();
    connection.send(error_line(
        {fmt::format("the request is longer than {} bytes", options_.request_bytes), "send a shorter one"}));
  }
  if (lost) connection.abandon();
  connection.watch();
}

void Server::answer(Connection& connection, const std::string& line) {
  auto request = parse_request(line);
  if (!request) {
    connection.close_when_sent();
    connection.send(error_line(request.error()));
    return;
  }
  request->peer = connection.peer();
  const auto& entry = command(request->command);
  if (entry.changes) note(request->peer, fmt::format("{} {}", entry.path, json_text(request->arguments)));
  // What a handler throws is a defect, but no reason to stop forwarding packets.
  try {
    dispatch(connection, *request);
  } catch (const std::exception& defect) {
    note(request->peer, fmt::format("{} failed: {}", entry.path, defect.what()));
    if (handlers_.find_stream(entry.id) != nullptr)
      return;  // letting go of the stream has ended it with an error
    connection.send(error_line({fmt::format("`{}` failed inside espgated: {}", entry.path, defect.what()),
                                "this is a defect; report it"}));
  }
}

void Server::dispatch(Connection& connection, const Request& request) {
  if (const auto* handler = handlers_.find_stream(request.command)) {
    auto stream = connection.open_stream();
    const auto started = (*handler)(request, stream);
    if (!started) stream->fail(started.error());
    return;
  }
  const auto result = (*handlers_.find_answer(request.command))(request);
  if (!result) return connection.send(error_line(result.error()));
  std::string line = result_line(*result);
  if (line.size() > options_.answer_bytes) {
    line = error_line(
        {fmt::format("the answer is {} bytes, more than the limit of {}", line.size(), options_.answer_bytes),
         "ask for less"});
  }
  connection.send(std::move(line));
}

void Server::expire() {
  std::uint64_t ticks = 0;
  [[maybe_unused]] const auto got = read(timer_.get(), &ticks, sizeof ticks);
  listen_again(true);
  const auto now = Connection::Clock::now();
  std::vector<std::uint64_t> late;
  for (const auto& [id, connection] : connections_) {
    const auto waited = now - connection->last_progress();
    const bool idle = connection->awaits_request() && waited > options_.idle;
    const bool stalled = connection->awaits_reader() && waited > options_.stall;
    if (!idle && !stalled) continue;
    note(connection->peer(), stalled ? "dropped, does not read its answer" : "dropped, asks nothing");
    late.push_back(id);
  }
  for (const auto id : late) remove(id);
  set_timer();
}

void Server::remove(std::uint64_t id) {
  // Out of the map first: a stream's callback may look at clients().
  const auto node = connections_.extract(id);
  set_timer();
}

void Server::set_timer() {
  const bool needed = !connections_.empty() || !listening_;
  if (needed == timer_runs_) return;
  timer_runs_ = needed;
  using namespace std::chrono;
  const auto tick = std::clamp<milliseconds>(std::min(options_.idle, options_.stall) / 4, 10ms, 1000ms);
  itimerspec spec{};
  if (needed) {
    spec.it_interval.tv_sec = tick.count() / 1000;
    spec.it_interval.tv_nsec = tick.count() % 1000 * 1'000'000;
    spec.it_value = spec.it_interval;
  }
  timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

void Server::note(const Peer& peer, const std::string& what) const {
  if (options_.log) options_.log(fmt::format("CLI client (pid {}, uid {}): {}", peer.pid, peer.uid, what));
}

}  // namespace espgate::cli
