#include "control/ctl/pcap_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control/cli/pcap.hpp"

namespace espgate::ctl {
Expected<PcapFile> PcapFile::open(const std::string& path) {
  if (path == "-") {
    if (isatty(STDOUT_FILENO)) {
      return Error{"a capture is binary and standard output is a terminal",
                   "pipe it into a reader, `| tshark -r -`, or write a file with --write FILE"};
    }
    return PcapFile({}, STDOUT_FILENO, "standard output");
  }
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file) {
    return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), "choose another file"};
  }
  const int fd = file.get();
  return PcapFile(std::move(file), fd, path);
}

Expected<void> PcapFile::begin() {
  if (begun_) return {};
  begun_ = true;
  // Fails on what has no length, such as a pipe, and need not succeed there.
  [[maybe_unused]] const int emptied = file_ ? ftruncate(fd_, 0) : 0;
  return write(cli::pcap_header());
}

Expected<void> PcapFile::write(const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return Error{fmt::format("cannot write {}: {}", path_, std::strerror(errno)),
                   errno == ENOSPC ? "make room on the disk" : "choose another file"};
    }
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace espgate::ctl
