// The documents in docs/ that follow the schema. With ESPGATE_UPDATE_DOCS set, the test writes the manual
// page instead of comparing it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "control/config/load.hpp"
#include "control/config/schema.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

namespace {

const std::string docs = DOCS_DIR;

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Whether `key` is set in `text`, in a comment or not.
bool mentions(const std::string& text, std::string_view key) {
  for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
    const bool begins = at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n';
    if (begins && text.compare(at + key.size(), 3, " = ") == 0) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("espgate.conf(5) is what the schema prints") {
  const auto file = docs + "/man/espgate.conf.5";
  if (std::getenv("ESPGATE_UPDATE_DOCS") != nullptr) std::ofstream(file, std::ios::binary) << manual_page();
  INFO("run this test with ESPGATE_UPDATE_DOCS=1 to write the page anew");
  CHECK(content(file) == manual_page());
}

TEST_CASE("espgate.conf(5) describes every key") {
  const auto page = manual_page();
  for (const auto* group : groups())
    for (const auto& key : group->keys)
      CHECK_THAT(page, Catch::Contains("\n.It Ic " + std::string(key.name) + "\n"));
}

TEST_CASE("the example loads without an error and mentions every key") {
  const test::Folder folder;
  const auto text = content(docs + "/espgate.conf.example");
  const auto result = load(folder.write("espgate.conf", text));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  CHECK(result.configuration);
  CHECK(result.warnings.size() == 1);  // manual keys
  for (const auto* group : groups())
    for (const auto& key : group->keys) {
      INFO(group->path << " " << key.name);
      CHECK(mentions(text, key.name));
    }
}

TEST_CASE("the example in espgate.conf(5) loads") {
  const auto page = manual_page();
  const auto begin = page.find(".Bd -literal -offset indent\n") + 28;
  const test::Folder folder;
  folder.write("branch-in.key", "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\n");
  folder.write("branch-out.key", "9d30b6c85af2417e63c1d80f2b94e7a50e7fc813\n");
  const auto result =
      load(folder.write("espgate.conf", page.substr(begin, page.find(".Ed\n", begin) - begin)));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  CHECK(result.configuration);
}

TEST_CASE("the example of a tunnel by IKE loads without a warning, and takes fewer than 12 lines") {
  const auto text = content(docs + "/examples/site-to-site.conf");
  CHECK(std::ranges::count(text, '\n') < 12);
  const test::Folder folder;
  folder.write("branch.psk", "Hm0Vn7cYb2c5l3a8x9P1mJ5e7t0w4R6q\n");
  const auto result = load(folder.write("espgate.conf", text));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  for (const auto& warning : result.warnings) FAIL_CHECK(warning.text());
  REQUIRE(result.configuration);
  CHECK(result.configuration->connections.at(0).ike);
}
