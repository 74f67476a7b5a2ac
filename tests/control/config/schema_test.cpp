#include "control/config/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::config;

TEST_CASE("every key says what it means, and ranges contain their defaults") {
  for (const auto* group : groups()) {
    std::set<std::string_view> names;
    for (const auto& key : group->keys) {
      INFO(group->path << " " << key.name);
      CHECK(names.insert(key.name).second);
      CHECK_THAT(std::string(key.meaning), Catch::EndsWith("."));
      CHECK_FALSE((key.required && !key.preset.empty()));
      if (key.kind == Kind::integer) {
        CHECK(key.least <= key.most);
        if (!key.preset.empty()) {
          const auto preset = std::stoll(std::string(key.preset));
          CHECK(preset >= key.least);
          CHECK(preset <= key.most);
        }
      }
      if (key.kind == Kind::choice) {
        CHECK_FALSE(key.choices.empty());
        if (!key.preset.empty()) CHECK(std::ranges::find(key.choices, key.preset) != key.choices.end());
      }
      if (key.kind == Kind::group || key.kind == Kind::groups)
        CHECK(std::ranges::find(groups(), key.group) != groups().end());
    }
  }
}

TEST_CASE("the suites of the schema are those of the crypto folder, in its order") {
  const auto* connections = top_level().find("connections")->group;
  std::vector<std::string_view> names;
  for (const auto& suite : crypto::suites()) names.push_back(suite.name);
  CHECK(std::ranges::equal(connections->find("suite")->choices, names));
}

TEST_CASE("a suite is also found by the name that other products give it") {
  const auto& key = *top_level().find("connections")->group->find("suite");
  const auto index = [](crypto::SuiteId id) { return static_cast<std::size_t>(id); };
  CHECK(choice_of(key, "aes128-sha256") == index(crypto::SuiteId::aes_cbc_128_sha256));
  CHECK(choice_of(key, "chacha20-poly1305") == index(crypto::SuiteId::chacha20_poly1305));
  CHECK(choice_of(key, "aes128") == key.choices.size());
}

TEST_CASE("the default of every top-level key, written out, loads") {
  std::string text(test::minimal);
  for (const auto& key : top_level().keys)
    if (!key.preset.empty())
      text += key.kind == Kind::choice || key.kind == Kind::text
                  ? fmt::format("{} = \"{}\";\n", key.name, key.preset)
                  : fmt::format("{} = {};\n", key.name, key.preset);
  text += "limits = {\n";
  for (const auto& key : top_level().find("limits")->group->keys)
    text += fmt::format("{} = {};\n", key.name, key.preset);
  const test::Folder folder;
  const auto result = load(folder.write("espgate.conf", text + "};\n"));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.configuration);
  CHECK(result.configuration->worker_cpus == Configuration().worker_cpus);
}
