#include "control/ctl/pcap.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace espgate::ctl {
namespace {

constexpr std::uint32_t magic_ns = 0xa1b23c4d;
constexpr std::uint32_t link_type_ethernet = 1;
constexpr std::uint32_t snap_bytes = 262'144;
constexpr std::uint64_t ns_a_second = 1'000'000'000;

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

std::string pcap_header() {
  std::string out;
  put(out, magic_ns, 4);
  put(out, 2, 2);  // version 2.4
  put(out, 4, 2);
  put(out, 0, 4);  // times are UTC
  put(out, 0, 4);
  put(out, snap_bytes, 4);
  put(out, link_type_ethernet, 4);
  return out;
}

std::string pcap_record(std::uint64_t time_ns, std::uint32_t length_bytes,
                        std::span<const std::uint8_t> data) {
  std::string out;
  put(out, static_cast<std::uint32_t>(time_ns / ns_a_second), 4);
  put(out, static_cast<std::uint32_t>(time_ns % ns_a_second), 4);
  put(out, static_cast<std::uint32_t>(data.size()), 4);
  put(out, length_bytes, 4);
  out.append(data.begin(), data.end());
  return out;
}

Expected<PcapFile> PcapFile::open(const std::string& path) {
  if (path == "-") {
    if (isatty(STDOUT_FILENO)) {
      return Error{"a capture is binary and standard output is a terminal",
                   "pipe it into a reader, `| tshark -r -`, or write a file with --write FILE"};
    }
    return PcapFile({}, STDOUT_FILENO, "standard output");
  }
  cli::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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
  return write(pcap_header());
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
