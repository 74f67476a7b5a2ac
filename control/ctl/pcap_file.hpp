// A pcap file, or a pipe into what reads one.
#pragma once

#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::ctl {

// Where the file goes. Each record is written whole before the next one is taken, so that a reader at the
// other end of a pipe sees it at once and a file is complete at any moment.
class PcapFile {
 public:
  // `path` "-" is standard output. Errors: the file cannot be made, or standard output is a terminal. What
  // was in the file stays until begin().
  static Expected<PcapFile> open(const std::string& path);

  // Empties the file and writes the header; no effect when it is done already.
  Expected<void> begin();
  Expected<void> write(const std::string& bytes);

 private:
  PcapFile(UniqueFd file, int fd, std::string path)
      : file_(std::move(file)), fd_(fd), path_(std::move(path)) {}

  UniqueFd file_;  // empty for standard output
  int fd_;
  std::string path_;
  bool begun_ = false;
};

}  // namespace espgate::ctl
