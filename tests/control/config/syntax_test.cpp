// Mistakes of form: brackets, quotes, commas, names, files that are no configuration.
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

namespace {

struct Case {
  std::string_view text;
  unsigned line;
  std::string_view message;
  std::string_view remedy;
};

const Case cases[] = {
    {"ports = (\n{ name = \"a\"; }\n{ name = \"b\"; }\n);", 3, "\"{\" cannot follow \"}\"", "put a comma"},
    {"worker-cpus = [\n1,\n2,\n];", 4, "\"]\" cannot follow \",\"", "remove the comma"},
    {"worker-cpus = [ 1\n2 ];", 2, "\"2\" cannot follow \"1\"", "put a comma"},
    {"idle = sleep;", 1, "\"sleep\" cannot follow \"=\"", "double quotes"},
    {"idle = ;", 1, "\";\" cannot follow \"=\"", "give a value"},
    {"hugepages = true;;", 1, "\";\" cannot follow \";\"", "remove one"},
    {"control-cpu 4;", 1, "\"4\" cannot follow \"control-cpu\"", "put = between"},
    {"control-cpu =\n\n", 1, "the end of the file cannot follow \"=\"", "give a value"},
    {"= 5;", 1, "\"=\" cannot stand at the beginning", "name = value"},
    {"ports = (\n{ name = \"a\";\ndevice = \"b\";\n);\n", 4, "\")\" does not close the \"{\" of line 2",
     "close that one first with \"}\""},
    {"ports = (\n{ name = \"a\"; }\n\n", 1, "the \"(\" that opens here is never closed", "add \")\""},
    {"idle = \"spin\"; }", 1, "\"}\" closes nothing", "remove it"},
    {"limits = { routes = 5 ];\n", 1, "\"]\" does not close the \"{\" of line 1", "\"}\""},
    {"\nidle = \"spin;\nlog-level = \"info\";\n", 2, "no closing quote", "add the closing"},
    {"idle = \"spin", 1, "no closing quote", "add the closing"},
    {"\n/* spin\n", 2, "comment that begins here is never closed", "*/"},
    {"device = 0000:3b:00.0;", 1, "\"3b\" is neither a number nor a name", "double quotes"},
    {"local = 192.0.2.1;", 1, "\"192.0.2.1\" is neither a number nor a name", "double quotes"},
    {"to = 10.0.0.0/8;", 1, "\"10.0.0.0\" is neither", "double quotes"},
    {"control-cpu = 0x;", 1, "\"0x\" is neither", "double quotes"},
    {"control-cpu = $5;", 1, "unexpected character \"$\"", "double quotes"},
    {"*name = 5;", 1, "\"*name\" is neither", "names begin with a letter"},
    {"@includes \"x\"", 1, "begins nothing but an @include line", "@include \"other.conf\""},
    {"@include other.conf", 1, "begins nothing but an @include line", "@include \"other.conf\""},
    {"a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1, "levels of brackets", "closing bracket"},
};

}  // namespace

TEST_CASE("mistakes of form are named with line, token and remedy") {
  const test::Folder folder;
  for (const auto& [text, line, message, remedy] : cases) {
    const auto file = folder.write("espgate.conf", text);
    const auto result = load(file);
    INFO(text);
    CHECK_FALSE(result.configuration);
    REQUIRE(result.errors.size() == 1);
    INFO(result.errors[0].text());
    CHECK(result.errors[0].file == file);
    CHECK(result.errors[0].line == line);
    CHECK_THAT(result.errors[0].message, Catch::Contains(std::string(message)));
    CHECK_THAT(result.errors[0].remedy, Catch::Contains(std::string(remedy)));
  }
}

TEST_CASE("several mistakes of form in different lines are reported together") {
  const test::Folder folder;
  const auto errors = load(folder.write("espgate.conf", "a = 1x;\nb = \"y;\nc = 10.0.0.0/8;\n")).errors;
  REQUIRE(errors.size() == 3);
  for (unsigned i = 0; i < 3; ++i) CHECK(errors[i].line == i + 1);
}

TEST_CASE("a NUL byte in a text is an error and does not cut the file short") {
  const test::Folder folder;
  const auto result = load(folder.write("espgate.conf", std::string("idle = \"sp\0in\";\n", 16)));
  REQUIRE(result.errors.size() == 1);
  CHECK_THAT(result.errors[0].message, Catch::Contains("NUL"));
}

TEST_CASE("what is not a readable file is refused by name, without waiting for it") {
  const test::Folder folder;
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  const std::pair<std::string, std::string> files[] = {{folder.path("absent.conf"), "No such file"},
                                                       {folder.path(""), "is a directory"},
                                                       {folder.path("fifo"), "is a device"},
                                                       {"/dev/zero", "is a device"}};
  for (const auto& [file, message] : files) {
    const auto result = load(file);
    CHECK_FALSE(result.configuration);
    REQUIRE(result.errors.size() == 1);
    CHECK(result.errors[0].line == 0);
    CHECK_THAT(result.errors[0].text(), Catch::StartsWith(file + ": ") && Catch::Contains(message));
    CHECK_FALSE(result.errors[0].remedy.empty());
  }
}
