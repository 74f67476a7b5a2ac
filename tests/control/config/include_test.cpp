#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

TEST_CASE("included files are found from the file that includes them, and errors name them") {
  const test::Folder folder;
  folder.write("sites/policies.conf", "policies = (\n @include \"list.conf\"\n);\n");
  folder.write("sites/list.conf", "{ to = \"10.0.0.0/8\"; action = \"bypass\"; }, # no newline at the end:");
  folder.write("more.conf", "idle = \"spin\";\nidle-sleep-us = 7;");
  folder.write("sites/other.conf", "{ to = \"10.64.0.0/10\"; action = \"discard\"; }");
  folder.write("sites/list.conf", "{ to = \"10.0.0.0/8\"; action = \"bypass\"; }, # no newline at the end");
  folder.write("sites/policies.conf",
               "policies = (\n @include \"list.conf\"\n @include \"other.conf\"\n);\n");
  const auto file = folder.write(
      "espgate.conf", std::string(test::minimal) + "@include \"sites/policies.conf\"\n" + "\t@include \"" +
                          folder.path("more.conf") + "\" log-level = \"debug\";\ncontrol-cpu = 3;\n");
  auto result = load(file);
  REQUIRE(result.configuration);
  CHECK(result.configuration->idle == Idle::spin);
  CHECK(result.configuration->idle_sleep_us == 7);
  CHECK(result.configuration->log_level == "debug");
  CHECK(result.configuration->control_cpu == 3);
  REQUIRE(result.configuration->policies.size() == 2);
  CHECK(result.configuration->policies[1].action == PolicyAction::discard);
  CHECK(result.configuration->policies[1].line == 1);
  CHECK(result.configuration->files[result.configuration->policies[1].file] ==
        folder.path("sites/other.conf"));
  CHECK(result.configuration->ports[0].file == 0);

  folder.write("more.conf", "\n\nidle = 5;\ncontrol-cpu = 4;\n");
  result = load(file);
  REQUIRE(result.errors.size() == 2);
  CHECK(result.errors[0].file == folder.path("more.conf"));
  CHECK(result.errors[0].line == 3);
  CHECK(result.errors[1].file == file);
  CHECK(result.errors[1].line == 4);
  CHECK_THAT(result.errors[1].message, Catch::Contains("already in line 4 of " + folder.path("more.conf")));
}

TEST_CASE("a mistake of form in an included file is dated there") {
  const test::Folder folder;
  const auto file = folder.write("espgate.conf", "@include \"part.conf\"\n" + std::string(test::minimal));
  folder.write("part.conf", "control-cpu = 0;\nidle = spin;\n");
  auto errors = load(file).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].file == folder.path("part.conf"));
  CHECK(errors[0].line == 2);

  folder.write("part.conf", "\nlimits = {\n routes = 16;\n");
  errors = load(file).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].file == folder.path("part.conf"));
  CHECK(errors[0].line == 2);
}

TEST_CASE("an included file that is not there, or includes itself, is reported where it is included") {
  const test::Folder folder;
  const auto file = folder.write("espgate.conf", std::string(test::minimal) + "\n@include \"absent.conf\"\n");
  auto errors = load(file).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].line == 3);
  CHECK_THAT(errors[0].message, Catch::Contains(folder.path("absent.conf") + ": No such file"));

  folder.write("a.conf", "@include \"b.conf\"\n");
  folder.write("b.conf", "\n@include \"./a.conf\"\n");
  errors = load(folder.path("a.conf")).errors;
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].file == folder.path("b.conf"));
  CHECK(errors[0].line == 2);
  CHECK_THAT(errors[0].message, Catch::Contains("includes itself"));
}

TEST_CASE("includes are limited in depth and number") {
  const test::Folder folder;
  for (int i = 0; i < 12; ++i) folder.write(fmt::format("d{}", i), fmt::format("@include \"d{}\"\n", i + 1));
  CHECK_THAT(load(folder.path("d0")).errors.at(0).message, Catch::Contains("one included file too many"));

  // Each level doubles the files: without a limit on their number this is 2^10 of them.
  for (int i = 0; i < 10; ++i) {
    folder.write(fmt::format("e{}", i), fmt::format("@include \"e{0}\"\n@include \"e{0}\"\n", i + 1));
  }
  folder.write("e10", "# leaf\n");
  const auto errors = load(folder.path("e0")).errors;
  REQUIRE_FALSE(errors.empty());
  CHECK_THAT(errors[0].message, Catch::Contains("too many"));
}

TEST_CASE("a key file is found from the file that names it") {
  const test::Folder folder;
  folder.write("sites/a.key", "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\n");
  folder.write(
      "sites/a.conf",
      "{ name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; local-networks = [ \"10.1.0.0/24\" ]; "
      "remote-networks = [ \"10.2.0.0/24\" ]; inbound = { spi = 0x1001; key-file = \"a.key\"; }; }");
  const auto result = load(folder.write(
      "espgate.conf", std::string(test::minimal) + "connections = (\n@include \"sites/a.conf\"\n);\n"));
  REQUIRE(result.configuration);
  CHECK(result.configuration->connections[0].inbound->keymat.bytes().size() == 20);
}
