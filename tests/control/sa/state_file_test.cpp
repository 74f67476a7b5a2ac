#include "control/sa/state_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

using namespace espgate;
using namespace espgate::sa;

namespace state_file_test {
namespace {

constexpr mode_t write_rights = S_IWGRP | S_IWOTH;

struct Folder {
  Folder() {
    char name[] = "/tmp/espgate-state-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
    std::ofstream(file()) << "what is there";
    REQUIRE(chmod(file().c_str(), 0600) == 0);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/file"; }
  std::string path;
};

std::string problem_of(const std::string& path, mode_t forbidden = write_rights) {
  const auto opened = open_state_file(path, forbidden);
  return opened ? "" : opened.error().what;
}

}  // namespace

TEST_CASE("a state file is read, and one that is not there is no error") {
  const Folder folder;
  const auto file = open_state_file(folder.file(), S_IRWXG | S_IRWXO);
  REQUIRE((file && *file));
  std::array<char, 64> bytes;
  REQUIRE(read_up_to(file->get(), bytes.data(), 4) == 4);
  REQUIRE(read_up_to(file->get(), bytes.data(), bytes.size()) == 9);
  CHECK(std::string_view(bytes.data(), 9) == " is there");
  const auto none = open_state_file(folder.path + "/none", 0);
  CHECK((none && !*none));
}

TEST_CASE("what others may have prepared is not read as a state file, nor waited for") {
  const Folder folder;
  const auto other = folder.path + "/other";
  std::filesystem::create_symlink(folder.file(), other);
  CHECK_THAT(problem_of(other), Catch::Contains("cannot open " + other));
  std::filesystem::remove(other);
  REQUIRE(mkfifo(other.c_str(), 0600) == 0);
  CHECK_THAT(problem_of(other), Catch::Contains("not a regular file"));
  CHECK_THAT(problem_of(folder.path), Catch::Contains("not a regular file"));
  REQUIRE(chmod(folder.file().c_str(), 0644) == 0);
  CHECK(problem_of(folder.file()).empty());
  CHECK_THAT(problem_of(folder.file(), S_IRWXG | S_IRWXO), Catch::Contains("its mode 0644 lets others in"));
  REQUIRE(chmod(folder.file().c_str(), 0620) == 0);
  CHECK_THAT(problem_of(folder.file()), Catch::Contains("its mode 0620 lets others in"));
  REQUIRE(chmod(folder.file().c_str(), 0600) == 0);
  if (geteuid() != 0) return;
  REQUIRE(chown(folder.file().c_str(), 1, 1) == 0);
  CHECK_THAT(problem_of(folder.file()), Catch::Contains("somebody else's"));
}

TEST_CASE("a new state file is ours alone, whatever was in its place") {
  const Folder folder;
  const auto path = folder.path + "/new";
  const int kind = GENERATE(0, 1, 2);
  if (kind == 0) std::filesystem::create_hard_link(folder.file(), path);
  if (kind == 1) std::filesystem::create_symlink(folder.file(), path);
  if (kind == 2) REQUIRE(mkfifo(path.c_str(), 0666) == 0);
  const auto file = make_state_file(path);
  REQUIRE(file);
  struct stat status {};
  REQUIRE(fstat(file.get(), &status) == 0);
  CHECK(status.st_mode == (S_IFREG | 0600));
  CHECK((status.st_uid == geteuid() && status.st_nlink == 1 && status.st_size == 0));
  CHECK(std::filesystem::file_size(folder.file()) == 13);
}

TEST_CASE("a file to be locked is made, or ours") {
  const Folder folder;
  const auto path = folder.path + "/lock";
  REQUIRE(open_lock_file(path));
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK(status.st_mode == (S_IFREG | 0600));
  REQUIRE(chmod(path.c_str(), 0660) == 0);
  const auto shared = open_lock_file(path);
  REQUIRE_FALSE(shared);
  CHECK_THAT(shared.error().what, Catch::Contains("its mode 0660 lets others in"));
  std::filesystem::remove(path);
  std::filesystem::create_symlink(folder.file(), path);
  CHECK_FALSE(open_lock_file(path));
  std::filesystem::remove(path);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK_FALSE(open_lock_file(path));
}

TEST_CASE("all of the bytes are written at their place, or what hinders it is told") {
  const Folder folder;
  const auto file = make_state_file(folder.file());
  REQUIRE((write_all(file.get(), "abcd", 4) && write_all(file.get(), "xyz", 3, 2)));
  std::ifstream is(folder.file());
  CHECK(std::string(std::istreambuf_iterator(is), {}) == "abxyz");
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  CHECK_FALSE(write_all(full.get(), "abcd", 4));
  CHECK(errno == ENOSPC);
}

TEST_CASE("a file that fails as it is read is told from one that ends") {
  const UniqueFd file(open("/proc/self/mem", O_RDONLY | O_CLOEXEC));  // nothing is at its beginning
  std::array<char, 8> bytes;
  CHECK_FALSE(read_up_to(file.get(), bytes.data(), bytes.size()));
  CHECK(errno == EIO);
}

}  // namespace state_file_test
