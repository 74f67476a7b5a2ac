#include "tests/control/config/mistakes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/config/sample.hpp"

namespace espgate::config::test {
void check(std::span<const Case> cases, std::string_view first_line) {
  const Folder folder;
  for (const auto& expected : cases) {
    const auto file = folder.write("espgate.conf", fmt::format("{}{}\n", first_line, expected.text));
    const auto result = load(file);
    INFO(expected.text);
    INFO(all(result.errors));
    CHECK_FALSE(result.configuration);
    const auto found = std::ranges::find_if(result.errors, [&](const Problem& problem) {
      return problem.path == expected.path && problem.message.find(expected.message) != std::string::npos;
    });
    CHECK(found != result.errors.end());
    if (found == result.errors.end()) continue;
    CHECK(found->file == file);
    CHECK(found->line == expected.line);
    CHECK_FALSE(found->remedy.empty());
    CHECK_THAT(found->remedy, Catch::Contains(std::string(expected.remedy)));
  }
}

}  // namespace espgate::config::test
