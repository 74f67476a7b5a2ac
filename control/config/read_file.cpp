#include "control/config/read_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace espgate::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

Error unreadable(const std::string& path, int reason) {
  const auto why = std::generic_category().message(reason);
  switch (reason) {
    case ENOENT:
    case ENOTDIR:
      return {fmt::format("cannot read {}: {}", path, why), "create the file or correct the path"};
    case EACCES:
      return {fmt::format("cannot read {}: {}", path, why),
              "run as root, or give the user that runs espgate the right to read it"};
    default:
      return {fmt::format("cannot read {}: {}", path, why), "correct the path"};
  }
}

}  // namespace

Expected<FileText> read_file(const std::string& path, std::size_t most_bytes) {
  // O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) return unreadable(path, errno);
  struct stat status {};
  if (fstat(file.number(), &status) != 0) return unreadable(path, errno);
  if (!S_ISREG(status.st_mode))
    return Error{
        fmt::format("{} is {}, not a file", path, S_ISDIR(status.st_mode) ? "a directory" : "a device"),
        "name a regular file"};
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (bytes > most_bytes)
    return Error{fmt::format("{} has {} bytes, more than the {} that are read", path, bytes, most_bytes),
                 "check that this is the file you mean"};

  FileText result{std::string(bytes, '\0'), status.st_mode & 0777U};
  std::size_t have = 0;
  while (have < bytes) {
    const auto got = read(file.number(), result.text.data() + have, bytes - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(path, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  result.text.resize(have);
  return result;
}

std::string beside(const std::string& from, const std::string& path) {
  return (std::filesystem::path(from).parent_path() / path).string();
}

void cleanse(std::string& text) {
  if (!text.empty()) OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace espgate::config
