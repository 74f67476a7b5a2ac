// `capture --write` and `export evidence --write`: the daemon's frames into a pcap file, progress on standard
// error.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "control/ctl/output.hpp"
#include "control/ctl/pcap_file.hpp"

namespace espgate::ctl {

class CaptureOutput {
 public:
  CaptureOutput(Output& output, PcapFile file, std::string path);

  // As ItemOutput's.
  int item(const nlohmann::json& frame);
  int finish(const nlohmann::json& result);
  int fail(const Error& error);

 private:
  void show_progress();

  Output& output_;
  PcapFile file_;
  std::string path_;
  std::uint64_t written_ = 0;
  bool shows_progress_;  // standard error is a terminal
  std::chrono::steady_clock::time_point next_progress_{};
};

}  // namespace espgate::ctl
