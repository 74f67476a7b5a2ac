#include "tests/control/cli/running_server.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace espgate::test {
namespace {

constexpr int patience_ms = 5'000;

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "espgate-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

RunningServer::RunningServer(cli::Handlers handlers, cli::ServerOptions options)
    : path_(folder_.path() + "/espgate.sock"), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  options.path = path_;
  auto started = cli::Server::start(std::move(options), std::move(handlers));
  if (!started) throw std::runtime_error(started.error().text());
  server_ = std::move(*started);
  thread_ = std::thread([this] { loop(); });
}

RunningServer::~RunningServer() {
  on_thread([this](cli::Server&) { stop_ = true; });
  thread_.join();
}

void RunningServer::loop() {
  while (!stop_) {
    pollfd watched[] = {{server_->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[0].revents != 0) server_->serve();
    std::uint64_t ticks = 0;
    if (read(wake_.get(), &ticks, sizeof ticks) < 0) continue;
    const std::lock_guard lock(mutex_);
    if (work_ != nullptr) (*std::exchange(work_, nullptr))(*server_);
    ran_.notify_all();
  }
  server_.reset();
}

void RunningServer::on_thread(const std::function<void(cli::Server&)>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  const std::uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) throw std::runtime_error("cannot wake the server");
  ran_.wait(lock, [this] { return work_ == nullptr; });
}

bool RunningServer::reaches_clients(std::size_t count) {
  for (int i = 0; i < patience_ms; ++i) {
    std::size_t now = 0;
    on_thread([&](cli::Server& server) { now = server.clients(); });
    if (now == count) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

RawClient::RawClient(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect to " + path);
  }
  const timeval patience{patience_ms / 1000, 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

bool RawClient::send(const std::string& bytes) {
  return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::string RawClient::line() {
  for (;;) {
    if (const auto end = input_.find('\n'); end != std::string::npos) {
      std::string found = input_.substr(0, end + 1);
      input_.erase(0, end + 1);
      return found;
    }
    char buffer[65'536];
    const ssize_t got = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return {};
    input_.append(buffer, static_cast<std::size_t>(got));
  }
}

bool RawClient::closed() {
  char byte = 0;
  ssize_t got = 1;
  while (got > 0) got = recv(fd_.get(), &byte, 1, 0);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

void RawClient::half_close() {
  shutdown(fd_.get(), SHUT_WR);
}

}  // namespace espgate::test
