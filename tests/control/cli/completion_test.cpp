#include "control/cli/completion.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "control/cli/manual.hpp"

using namespace espgate::cli;
using Words = std::vector<std::string>;

namespace {

std::string asked_socket;

Words names(ValueKind kind, const std::string& socket) {
  asked_socket = socket;
  if (kind == ValueKind::port) return {"inside", "outside"};
  if (kind == ValueKind::connection) return {"branch"};
  if (kind == ValueKind::stray_spi) return {"0xdeadbeef"};
  if (kind == ValueKind::any_spi) return {"0xdeadbeef", "0x00001001"};
  return {"0x00001001"};
}

Words completed(const Words& words) {
  Words found;
  for (const auto& candidate : complete(words, names)) found.push_back(candidate.word);
  return found;
}

std::string file(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(SOURCE_ROOT "/" + path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("words, options and values are completed where they may stand") {
  CHECK(completed({"sh"}) == Words{"show"});
  CHECK(completed({"sh", "dr"}) == Words{"drops"});
  CHECK(completed({"show", "drops", ""}) == Words{"history", "ipsec"});
  CHECK(completed({"show", "drops", "--non"}) == Words{"--nonzero"});
  CHECK(completed({"capture", "--drop", "IN_CD_SW_IPSEC_M"}) == Words{"IN_CD_SW_IPSEC_MAC_EXCEPTION"});
  CHECK(completed({"capture", "--port", "out"}) == Words{"outside"});
  CHECK(completed({"show", "sa", "--connection", ""}) == Words{"branch"});
  CHECK(completed({"sa", "delete", ""}) == Words{"0x00001001"});
  CHECK(completed({"completion", ""}) == Words{"bash", "zsh"});
  CHECK(completed({"trace", ""}) == Words{"add", "clear", "show"});
  CHECK(completed({"monitor", "reload", "invalid-spi-"}) ==
        Words{"invalid-spi-flood", "invalid-spi-flood-over"});
}

TEST_CASE("all of a command's options are offered once, with the global ones") {
  CHECK(completed({"reload", "--"}) == Words{"--socket", "--json", "--no-color", "--help", "--version"});
  CHECK(completed({"capture", "--count", "3", "--w", "x", "--"}) ==
        Words{"--port", "--drop", "--socket", "--json", "--no-color", "--help", "--version"});
}

TEST_CASE("hidden commands are not offered, and nothing behind nonsense") {
  const auto first = completed({""});
  CHECK(std::ranges::find(first, "complete") == first.end());
  CHECK(std::ranges::find(first, "manual") == first.end());
  CHECK(std::ranges::find(first, "capture") != first.end());
  CHECK(completed({"show", "nonsense", ""}).empty());
  CHECK(completed({"show", "spi", "1", "2", ""}).empty());
  CHECK(completed({"show", "drops", "--bogus", ""}).empty());
  CHECK(completed({"capture", "--write", ""}).empty());
}

TEST_CASE("an SPI is completed to those that the command can have something about") {
  CHECK(completed({"show", "sa", "--spi", ""}) == Words{"0x00001001"});
  CHECK(completed({"export", "evidence", ""}) == Words{"0xdeadbeef"});
  CHECK(completed({"show", "spi", ""}) == Words{"0xdeadbeef", "0x00001001"});
}

TEST_CASE("names come from the daemon that the line names") {
  CHECK(completed({"--socket", "/tmp/other", "capture", "--port", "in"}) == Words{"inside"});
  CHECK(asked_socket == "/tmp/other");
}

TEST_CASE("the files in the tree are what the program prints") {
  INFO("regenerate: espgatectl completion bash > scripts/completion/espgatectl.bash, and so on");
  CHECK(file("scripts/completion/espgatectl.bash") == completion_script("bash"));
  CHECK(file("scripts/completion/espgatectl.zsh") == completion_script("zsh"));
  CHECK(file("docs/man/espgatectl.8") == manual_page());
}

TEST_CASE("the man page tells of every command that is not hidden") {
  const auto page = manual_page();
  for (const auto& row : commands()) {
    CAPTURE(row.path);
    std::string title = ".SS ";
    for (const char c : row.path) {
      if (c == '-') title += '\\';
      title += c;
    }
    CHECK((page.find(title) == std::string::npos) == row.hidden);
  }
}
