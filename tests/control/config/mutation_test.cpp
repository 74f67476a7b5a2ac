// Random damage to valid files: the loader answers, with errors that have a place and a remedy or with a
// configuration, and never with key material.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <random>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

namespace {

std::string example() {
  std::ifstream stream(std::string(DOCS_DIR) + "/espgate.conf.example", std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class Damage {
 public:
  explicit Damage(unsigned seed) : random_(seed) {}

  std::string operator()(std::string text) {
    for (std::size_t times = 1 + below(4); times > 0 && !text.empty(); --times) one(text);
    return text;
  }

 private:
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  void one(std::string& text) {
    static constexpr std::string_view pieces[] = {"{",
                                                  "}",
                                                  "(",
                                                  ")",
                                                  "[",
                                                  "]",
                                                  ";",
                                                  ",",
                                                  "=",
                                                  "\"",
                                                  "/*",
                                                  "*/",
                                                  "#",
                                                  "@include \"espgate.conf\"\n",
                                                  "@",
                                                  "-1",
                                                  "99999999999999999999",
                                                  "0x",
                                                  "1e400",
                                                  "true",
                                                  "\n",
                                                  "\\",
                                                  "key = ",
                                                  "name = \"\";",
                                                  "inbound = { };",
                                                  "\xff",
                                                  "0.0.0.0/0",
                                                  "::"};
    const auto at = below(text.size());
    const auto length = std::min(text.size() - at, 1 + below(40));
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(below(text.size()), text.substr(at, length));
        break;
      case 3:
        text.insert(at, pieces[below(std::size(pieces))]);
        break;
      case 4:
        text.resize(at);
        break;
      default:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
    }
  }

  std::mt19937 random_;
};

// Every piece of twelve digits of a key, which no message may show.
std::vector<std::string> pieces_of_keys(const std::string& text) {
  std::vector<std::string> pieces;
  for (auto at = text.find(" key = \"0x"); at != std::string::npos; at = text.find(" key = \"0x", at + 1))
    for (auto digit = at + 10; digit + 12 <= text.find('"', at + 10); ++digit)
      pieces.push_back(text.substr(digit, 12));
  return pieces;
}

void expect_no_secrets(const std::vector<Problem>& problems, const std::vector<std::string>& secrets) {
  for (const auto& problem : problems) {
    const auto text = problem.text();
    for (const auto& secret : secrets)
      if (text.find(secret) != std::string::npos) FAIL_CHECK(text);
  }
}

}  // namespace

TEST_CASE("damaged files never crash the loader nor make it tell a key") {
  const test::Folder folder;
  const auto text = example();
  const auto secrets = pieces_of_keys(text);
  REQUIRE(secrets.size() > 100);
  std::size_t good = 0;
  std::size_t bad = 0;
  for (unsigned seed = 0; seed < 1'000; ++seed) {
    INFO("seed " << seed);
    const auto result = load(folder.write("espgate.conf", Damage(seed)(text)));
    ++(result.configuration ? good : bad);
    if (result.configuration.has_value() != result.errors.empty()) FAIL("neither errors nor a configuration");
    for (const auto& error : result.errors)
      if (error.message.empty() || error.remedy.empty()) FAIL_CHECK(error.text());
    expect_no_secrets(result.errors, secrets);
    expect_no_secrets(result.warnings, secrets);
  }
  CHECK(good > 20);
  CHECK(bad > 200);
}

TEST_CASE("a key under a wrong name, without quotes or in a wrong place is not told") {
  const std::string key = "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4";
  const test::Folder folder;
  for (const auto* pattern :
       {"kye = \"0x{}\";", "key = \"0x{}\";", "key = 0x{};", "key = {};", "key = \"0x{}\" 5;",
        "idle = \"{}\";", "idle = 0x{};", "connections = ( {{ name = \"{}\"; }} );",
        "policies = ( {{ to = \"{}\"; }} );", "ports = ( {{ device = \"{}\"; }} );",
        "@include \"{}\"\n@include", "0x{} = 5;", "x{} = 5;", "idle = x{};", "log-level = \"{}",
        "inbound = {{ key = \"{}\"; }} }};", "socket = \"{}\";",
        "connections = ( {{ inbound = {{ key = ( \"{}\" ); }}; }} );", "key : \"{}\", key = \"{}\";"}) {
    const auto result = load(folder.write("espgate.conf", fmt::format(fmt::runtime(pattern), key, key)));
    INFO(pattern);
    CHECK_FALSE(result.errors.empty());
    expect_no_secrets(result.errors, {key.substr(0, 8), key.substr(8, 8), key.substr(30, 8)});
  }
}
