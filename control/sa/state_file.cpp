#include "control/sa/state_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace espgate::sa {
namespace {

// `file` was just opened, or could not be, as errno says.
Expected<UniqueFd> if_trusted(UniqueFd file, const std::string& path, mode_t forbidden_rights) {
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0)
    return Error{fmt::format("cannot open {}: {}", path, std::strerror(errno)), ""};
  const auto distrust = [&](std::string_view why) {
    return Error{fmt::format("cannot trust {}: {}", path, why), ""};
  };
  if (!S_ISREG(status.st_mode)) return distrust("it is not a regular file");
  if (status.st_uid != geteuid()) return distrust("it is somebody else's");
  if ((status.st_mode & forbidden_rights) != 0)
    return distrust(fmt::format("its mode {:04o} lets others in", status.st_mode & 07777));
  return file;
}

}  // namespace

Expected<UniqueFd> open_state_file(const std::string& path, mode_t forbidden_rights) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ENOENT) return UniqueFd();
  return if_trusted(std::move(file), path, forbidden_rights);
}

Expected<UniqueFd> open_lock_file(const std::string& path) {
  constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | flags, 0600));
  if (!file && errno == EROFS) file = UniqueFd(open(path.c_str(), O_RDONLY | flags));
  return if_trusted(std::move(file), path, S_IRWXG | S_IRWXO);  // who can read it can lock it
}

UniqueFd make_state_file(const std::string& path) {
  unlink(path.c_str());
  return UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

std::optional<std::size_t> read_up_to(int file, void* bytes, std::size_t most) {
  std::size_t have = 0;
  while (have < most) {
    const auto got = read(file, static_cast<char*>(bytes) + have, most - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  return have;
}

bool write_all(int file, const void* bytes, std::size_t count, std::size_t place) {
  const auto* next = static_cast<const char*>(bytes);
  while (count != 0) {
    const auto written = pwrite(file, next, count, static_cast<off_t>(place));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    next += written;
    place += static_cast<std::size_t>(written);
    count -= static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace espgate::sa
