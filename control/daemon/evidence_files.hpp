// Evidence of invalid SPIs as files, for whoever looks later or from elsewhere: <n>.pcap and <n>.json in the
// folder invalid-spi of the state directory, readable by root alone.
//
// Bounds: the newest `kept` of each, those of processes before this one included. All calls may wait for the
// disk: never on the control loop. One thread at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "datapath/base/expected.hpp"

namespace espgate::daemon {

class EvidenceFiles {
 public:
  static constexpr std::size_t kept = 64;

  // Makes the folder if it is not there. Errors: it cannot be made or read.
  static Expected<EvidenceFiles> open(const std::string& state_directory);

  // The highest number that is there; 0: none.
  std::uint64_t last_number() const { return numbers_.empty() ? 0 : *numbers_.rbegin(); }
  // The path of that number's files, without what they end in.
  std::string path_of(std::uint64_t number) const;
  // The json is there once the pcap is complete. The oldest are removed. Errors: a file cannot be written,
  // and neither is left.
  Expected<void> write(std::uint64_t number, std::string_view pcap, std::string_view json);

 private:
  explicit EvidenceFiles(std::string folder) : folder_(std::move(folder)) {}
  void remove(std::uint64_t number) const;

  std::string folder_;
  std::set<std::uint64_t> numbers_;
};

}  // namespace espgate::daemon
