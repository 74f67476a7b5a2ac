#include "control/cli/unix_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

namespace espgate::cli {
namespace {

constexpr int backlog = 64;
using Clock = std::chrono::steady_clock;
constexpr auto lock_patience = std::chrono::seconds(1);

std::string reason() {
  return std::strerror(errno);
}

Expected<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{fmt::format("socket path \"{}\" is {}", path, path.empty() ? "empty" : "too long"),
                 fmt::format("use 1 to {} characters", sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

std::filesystem::path folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

// Two daemons that start at once must not both find the socket stale. The lock is on the folder and held
// only while the socket is made, so that no lock file stays behind.
Expected<UniqueFd> lock_folder(const std::filesystem::path& folder, Clock::time_point deadline) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return Error{fmt::format("cannot open the socket's folder {}: {}", folder.string(), reason()),
                 "create it, or set another socket"};
  }
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (Clock::now() > deadline) {
      return Error{fmt::format("another program holds a lock on {}", folder.string()),
                   "stop it, or set another socket"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return fd;
}

// Whether the other side hangs up before the deadline, as the kernel does for one that ends.
bool hangs_up(int fd, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd watched{fd, 0, 0};
  return left.count() > 0 && poll(&watched, 1, static_cast<int>(left.count())) == 1;
}

Expected<void> remove_stale(const std::string& path, Clock::time_point deadline) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (auto replaceable = check_socket_path(path); !replaceable) return replaceable;
  auto other = connect_unix(path);
  for (; other; other = connect_unix(path)) {
    const auto pid = peer_of(other->get()).pid;
    if (!hangs_up(other->get(), deadline))
      return Error{fmt::format("another espgated is running (pid {}) on {}", pid, path),
                   "stop it or set another socket"};
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // one that lives may have clients enough
  }
  if (!other.error().what.empty()) return other.error();
  if (unlink(path.c_str()) == 0) return {};
  return Error{fmt::format("cannot remove the stale socket {}: {}", path, reason()), "run as root"};
}

Expected<UniqueFd> bind_and_listen(const std::string& path, const sockaddr_un& address, mode_t mode) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error{"cannot make a socket: " + reason(), "raise the limit on open files"};
  // The mode of the socket itself becomes the file's at bind: there is no moment in which it is wider.
  fchmod(fd.get(), mode);
  if (bind(fd.get(), generic(address), sizeof address) != 0) {
    return Error{fmt::format("cannot make the socket {}: {}", path, reason()),
                 errno == EACCES ? "run as root, or set another socket" : "set another socket"};
  }
  chmod(path.c_str(), mode);  // the umask may have taken bits away
  if (listen(fd.get(), backlog) != 0)
    return Error{fmt::format("cannot listen on {}: {}", path, reason()), ""};
  return fd;
}

}  // namespace

Expected<ListeningSocket> ListeningSocket::open(const std::string& path, mode_t mode,
                                                std::chrono::milliseconds patience) {
  auto address = address_of(path);
  if (!address) return address.error();
  const auto folder = folder_of(path);
  mkdir(folder.c_str(), 0755);
  const auto ended_by = Clock::now() + patience;
  auto lock = lock_folder(folder, ended_by + lock_patience);  // whoever has it may have as much patience
  if (!lock) return lock.error();
  if (auto free = remove_stale(path, ended_by); !free) return free.error();
  auto fd = bind_and_listen(path, *address, mode);
  if (!fd) return fd.error();
  return ListeningSocket(std::move(*fd), path);
}

ListeningSocket::ListeningSocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {
  struct stat status {};
  if (lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket::~ListeningSocket() {
  struct stat status {};
  if (path_.empty() || lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) unlink(path_.c_str());
}

Expected<void> check_socket_path(const std::string& path) {
  if (auto address = address_of(path); !address) return address.error();
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
    return Error{fmt::format("{} exists and is not a socket", path), "remove it, or set another socket"};
  const auto folder = folder_of(path);
  if (stat(folder.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return Error{fmt::format("{} is not a folder", folder.string()), "set another socket"};
  }
  const auto above = folder_of(folder.string());
  if (stat(above.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};  // made at the start
  return Error{fmt::format("the socket's folder {} is not there, nor is {}", folder.string(), above.string()),
               fmt::format("create it with `mkdir -p {}`, or set another socket", folder.string())};
}

Expected<UniqueFd> connect_unix(const std::string& path) {
  auto address = address_of(path);
  if (!address) return address.error();
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error{"cannot make a socket: " + reason(), "raise the limit on open files"};
  if (connect(fd.get(), generic(*address), sizeof *address) == 0) return fd;
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) return Error{};
  if (errno == EAGAIN) {
    return Error{fmt::format("espgated on {} is too busy to answer", path), "try again in a moment"};
  }
  return Error{fmt::format("cannot open the socket {}: {}", path, reason()),
               errno == EACCES || errno == EPERM ? "run as root" : "check the path"};
}

Peer peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.pid, credentials.uid};
}

}  // namespace espgate::cli
