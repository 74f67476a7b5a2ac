#include "control/daemon/evidence_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "control/cli/values.hpp"
#include "control/sa/state_file.hpp"

namespace espgate::daemon {
namespace {

Error failed(std::string_view what, const std::string& path, int reason) {
  return {fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(reason)),
          "evidence of invalid SPIs is kept in memory alone"};
}

bool write_file(const std::string& path, std::string_view bytes) {
  const auto file = sa::make_state_file(path);
  return file && sa::write_all(file.get(), bytes.data(), bytes.size());
}

}  // namespace

Expected<EvidenceFiles> EvidenceFiles::open(const std::string& state_directory) {
  EvidenceFiles files(state_directory + "/invalid-spi");
  if (mkdir(files.folder_.c_str(), 0700) != 0 && errno != EEXIST) return failed("make", files.folder_, errno);
  std::error_code problem;
  for (std::filesystem::directory_iterator at(files.folder_, problem), end; !problem && at != end;
       at.increment(problem)) {
    const auto ending = at->path().extension();
    if (ending != ".pcap" && ending != ".json") continue;
    if (const auto number = cli::parse_number(at->path().stem().string())) files.numbers_.insert(*number);
  }
  if (problem) return failed("read", files.folder_, problem.value());
  return files;
}

std::string EvidenceFiles::path_of(std::uint64_t number) const {
  return fmt::format("{}/{}", folder_, number);
}

Expected<void> EvidenceFiles::write(std::uint64_t number, std::string_view pcap, std::string_view json) {
  while (numbers_.size() >= kept) {
    remove(*numbers_.begin());
    numbers_.erase(numbers_.begin());
  }
  const auto path = path_of(number);
  if (!write_file(path + ".pcap", pcap) || !write_file(path + ".json", json)) {
    const auto error = failed("write", path, errno);
    remove(number);
    return error;
  }
  numbers_.insert(number);
  return {};
}

void EvidenceFiles::remove(std::uint64_t number) const {
  for (const auto* ending : {".pcap", ".json"}) ::unlink((path_of(number) + ending).c_str());
}

}  // namespace espgate::daemon
