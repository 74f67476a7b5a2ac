// What a configuration text becomes that has no error.
#pragma once

#include <catch2/catch.hpp>
#include <string_view>
#include <utility>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

namespace espgate::config::test {

inline Configuration loaded(std::string_view text) {
  const Folder folder;
  auto result = load(folder.write("espgate.conf", text));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.configuration);
  return std::move(*result.configuration);
}

}  // namespace espgate::config::test
