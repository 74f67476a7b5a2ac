#include "control/config/key_material.hpp"

#include <catch2/catch.hpp>

#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::config;

namespace {

const std::string digits = "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4";

Expected<Secret> decode(const std::string& text, crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128) {
  return decode_keymat(std::vector<std::uint8_t>(text.begin(), text.end()), crypto::suite(suite));
}

// "16-byte key + 4-byte salt + 32-byte integrity key", as far as the suite has them.
std::string sizes_of(const crypto::Suite& suite) {
  std::string text;
  for (const auto& [bytes, what] : {std::pair{suite.key_bytes, "-byte key"},
                                    {suite.salt_bytes, "-byte salt"},
                                    {suite.integrity_key_bytes, "-byte integrity key"}})
    if (bytes != 0) text += (text.empty() ? "" : " + ") + std::to_string(bytes) + what;
  return text;
}

}  // namespace

TEST_CASE("a key is hexadecimal digits in either case, with or without 0x, white space around it") {
  std::string upper = digits;
  for (auto& c : upper) c = static_cast<char>(std::toupper(c));
  for (const auto& text : {digits, "0x" + digits, "0X" + upper, "  " + digits + "\r\n"}) {
    const auto keymat = decode(text);
    REQUIRE(keymat);
    REQUIRE(keymat->bytes().size() == 20);
    CHECK(keymat->bytes()[0] == 0x47);
    CHECK(keymat->bytes()[15] == 0x60);
    CHECK(keymat->bytes()[19] == 0xf4);
  }
}

TEST_CASE("a key of the wrong length says how many bytes it has and needs") {
  for (const auto& suite : crypto::suites()) {
    for (std::size_t bytes = 1; bytes < 102; ++bytes) {
      const auto keymat = decode(std::string(2 * bytes, 'a'), suite.id);
      if (bytes == suite.keymat_bytes()) {
        CHECK(keymat);
        continue;
      }
      REQUIRE_FALSE(keymat);
      CHECK_THAT(keymat.error().what, Catch::Contains("has " + std::to_string(bytes) + " byte") &&
                                          Catch::Contains("needs " + std::to_string(suite.keymat_bytes())) &&
                                          Catch::Contains(sizes_of(suite)));
      CHECK_FALSE(keymat.error().remedy.empty());
    }
  }
}

TEST_CASE("a bad key is told by position and number, never by content") {
  for (const auto& text :
       {digits + "0", digits + "zz", digits.substr(1) + "-", "0x0x" + digits, digits + " " + digits,
        digits + digits, digits.substr(2), std::string("0x"), std::string(" ")}) {
    INFO(text);
    const auto keymat = decode(text);
    REQUIRE_FALSE(keymat);
    CHECK_THAT(keymat.error().text(),
               !Catch::Contains("47e9") && !Catch::Contains("e9a2") && !Catch::Contains("zz"));
  }
}

TEST_CASE("a key file is read only when others cannot read or replace it") {
  const test::Folder folder;
  const auto file = folder.write("a.key", digits + "\n");
  const std::pair<mode_t, bool> modes[] = {{0600, true},  {0400, true},  {0640, true},  {0440, true},
                                           {0644, false}, {0604, false}, {0660, false}, {0602, false}};
  for (const auto& [mode, accepted] : modes) {
    INFO(mode);
    chmod(file.c_str(), mode);
    const auto content = read_key_file(file);
    CHECK(content.has_value() == accepted);
    if (content) {
      CHECK(content->group_readable == ((mode & 040) != 0));
      CHECK(decode(std::string(content->text.bytes().begin(), content->text.bytes().end())));
    } else {
      CHECK_THAT(content.error().text(), Catch::Contains("chmod 600 " + file) && !Catch::Contains("47e9"));
    }
  }
}

TEST_CASE("what cannot be a key file is refused") {
  const test::Folder folder;
  const auto large = folder.write("large", std::string(20'000, 'a'));
  for (const auto& file : {large, folder.path("absent"), folder.path(""), std::string("/dev/zero")}) {
    const auto content = read_key_file(file);
    REQUIRE_FALSE(content);
    CHECK_FALSE(content.error().remedy.empty());
  }
}
