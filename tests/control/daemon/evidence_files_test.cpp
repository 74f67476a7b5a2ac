#include "control/daemon/evidence_files.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <sstream>

#include "tests/control/config/sample.hpp"

using namespace espgate;
using daemon::EvidenceFiles;

namespace evidence_files_test {
namespace {

std::string content(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::size_t files_in(const std::string& folder) {
  const std::filesystem::directory_iterator all(folder);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

TEST_CASE("Evidence is root's alone, and numbers go on after a restart") {
  const config::test::Folder folder;
  const auto state = folder.path("");
  {
    auto files = EvidenceFiles::open(state);
    REQUIRE(files);
    CHECK(files->last_number() == 0);
    REQUIRE(files->write(1, "packets", "{}"));
    REQUIRE(files->write(2, "others", "[]"));
    CHECK(content(files->path_of(1) + ".pcap") == "packets");
    CHECK(content(files->path_of(2) + ".json") == "[]");
    CHECK(mode_of(files->path_of(1) + ".pcap") == 0600);
    CHECK(mode_of(files->path_of(1) + ".json") == 0600);
    CHECK(mode_of(state + "/invalid-spi") == 0700);
  }
  folder.write("invalid-spi/notes.txt", "an operator's");
  auto files = EvidenceFiles::open(state);
  REQUIRE(files);
  CHECK(files->last_number() == 2);
}

TEST_CASE("The oldest files make room, those of an earlier process first, and nothing else is touched") {
  const config::test::Folder folder;
  folder.write("invalid-spi/notes.txt", "an operator's");
  folder.write("invalid-spi/7.pcap", "");
  folder.write("invalid-spi/7.json", "");
  auto files = EvidenceFiles::open(folder.path(""));
  REQUIRE(files);
  for (std::uint64_t number = 8; number < 8 + EvidenceFiles::kept; ++number)
    REQUIRE(files->write(number, "p", "j"));
  CHECK_FALSE(std::filesystem::exists(files->path_of(7) + ".pcap"));
  CHECK_FALSE(std::filesystem::exists(files->path_of(7) + ".json"));
  CHECK(std::filesystem::exists(files->path_of(8) + ".pcap"));
  CHECK(files_in(folder.path("invalid-spi")) == 2 * EvidenceFiles::kept + 1);
}

TEST_CASE("A file that cannot be written leaves none behind, and says why") {
  const config::test::Folder folder;
  auto files = EvidenceFiles::open(folder.path(""));
  REQUIRE(files);
  REQUIRE(std::filesystem::create_directory(folder.path("invalid-spi/1.json")));
  const auto written = files->write(1, "p", "j");
  REQUIRE_FALSE(written);
  CHECK_THAT(written.error().what, Catch::Contains("cannot write"));
  CHECK_FALSE(std::filesystem::exists(files->path_of(1) + ".pcap"));
  CHECK_FALSE(EvidenceFiles::open(folder.path("nowhere")));
}

}  // namespace evidence_files_test
