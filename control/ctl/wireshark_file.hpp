// `export wireshark --write`: the daemon's rows into a new file that only its owner can read.
#pragma once

#include <string>
#include <vector>

#include "control/ctl/output.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::ctl {

class WiresharkFile {
 public:
  // Made by us, with our rights, and never one that is there: what links or others could have put in its
  // place is left alone. Errors: it exists, or cannot be made.
  static Expected<WiresharkFile> create(const std::string& path);
  // Takes the file away again unless finish() was reached.
  ~WiresharkFile();
  WiresharkFile(WiresharkFile&& other) noexcept;
  WiresharkFile& operator=(WiresharkFile&&) = delete;

  Expected<void> write(const std::string& text);
  void keep() { whole_ = true; }
  const std::string& path() const { return path_; }

 private:
  WiresharkFile(UniqueFd fd, std::string path);

  UniqueFd fd_;
  std::string path_;
  bool whole_ = false;
};

// As ItemOutput. What it prints has no keys.
class WiresharkOutput {
 public:
  WiresharkOutput(Output& output, WiresharkFile file) : output_(output), file_(std::move(file)) {}

  int item(const nlohmann::json& sa);
  int finish(const nlohmann::json& result);
  int fail(const Error& error) { return output_.error(error); }

 private:
  Output& output_;
  WiresharkFile file_;
  std::uint64_t written_ = 0;
  std::uint64_t ended_ = 0;  // of these
  nlohmann::json left_out_ = nlohmann::json::array();
};

}  // namespace espgate::ctl
