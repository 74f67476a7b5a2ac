// on-invalid-spi and hook-user: whoever could decide what is run is told, and whoever cannot run it.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/control/config/loaded.hpp"

using namespace espgate::config;
using Catch::Contains;

namespace hook_test {
namespace {

struct Program {
  explicit Program(mode_t mode = 0755) : path(folder.write("program", "#!/bin/sh\n", mode)) {
    chmod(folder.path("").c_str(), 0755);
  }
  std::vector<Problem> errors(const std::string& more = "") const {
    return load(folder.write("espgate.conf", file(more))).errors;
  }
  std::string file(const std::string& more) const {
    return std::string(test::minimal) + "on-invalid-spi = \"" + path + "\";\n" + more;
  }
  test::Folder folder;
  std::string path;
};

void check_one(const std::vector<Problem>& errors, const char* path, unsigned line, const char* message) {
  INFO(test::all(errors));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].path == path);
  CHECK(errors[0].line == line);
  CHECK_THAT(errors[0].message, Contains(message));
  CHECK_FALSE(errors[0].remedy.empty());
}

}  // namespace

TEST_CASE("a program that nobody else can change is run as nobody, if the file names no other user") {
  const Program program;
  const auto loaded = test::loaded(program.file(""));
  CHECK(loaded.on_invalid_spi.program == program.path);
  CHECK(loaded.on_invalid_spi.uid != 0);
  CHECK(loaded.on_invalid_spi.gid != 0);
  CHECK(test::loaded(program.file("hook-user = \"daemon\";\n")).on_invalid_spi.uid == 1);
  CHECK(test::loaded(test::minimal).on_invalid_spi.program.empty());
  CHECK(test::loaded(std::string(test::minimal) + "on-invalid-spi = \"\";\n").on_invalid_spi.program.empty());
}

TEST_CASE("programs that are missing, not executable or not absolute are errors") {
  Program program(0644);
  check_one(program.errors(), "on-invalid-spi", 2, "hook-user may not execute");
  chmod(program.path.c_str(), 0744);  // root's, and the program is run as nobody
  check_one(program.errors(), "on-invalid-spi", 2, "hook-user may not execute");
  chmod(program.path.c_str(), 0755);
  chmod(program.folder.path("").c_str(), 0700);
  check_one(program.errors(), "on-invalid-spi", 2, "hook-user may not enter");
  program.path += "-that-is-missing";
  check_one(program.errors(), "on-invalid-spi", 2, "No such file");
  program.path = "/";
  check_one(program.errors(), "on-invalid-spi", 2, "is not a file");
  program.path = "bin/true";
  check_one(program.errors(), "on-invalid-spi", 2, "not an absolute path");
}

TEST_CASE("what others can write to is not run") {
  const Program program(0777);
  check_one(program.errors(), "on-invalid-spi", 2, "others than root can write to");
  chmod(program.path.c_str(), 0755);
  chmod(program.folder.path("").c_str(), 0777);
  check_one(program.errors(), "on-invalid-spi", 2, "others than root can write to");
  chmod(program.folder.path("").c_str(), 01777);  // there nobody replaces another's file
  CHECK(program.errors().empty());
  if (geteuid() != 0) return;
  REQUIRE(chown(program.path.c_str(), 1, 1) == 0);
  check_one(program.errors(), "on-invalid-spi", 2, "others than root can write to");
}

TEST_CASE("a user that is missing, or root, runs nothing") {
  const Program program;
  check_one(program.errors("hook-user = \"no-such-user-here\";\n"), "hook-user", 3, "there is no user");
  check_one(program.errors("hook-user = \"root\";\n"), "hook-user", 3, "is root");
}

}  // namespace hook_test
