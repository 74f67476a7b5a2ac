// 100,000 connections: loaded and checked in seconds, and the checks still see one among all.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <ctime>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/sanitized.hpp"

using namespace espgate::config;

TEST_CASE("100,000 connections load and are checked in seconds") {
  constexpr auto count = espgate::testing::many(std::size_t{100'000});
  const test::Folder folder;
  auto text = test::generated(count);
  auto file = folder.write("espgate.conf", text);

  const auto begin = std::clock();
  auto result = load(file);
  const auto took_s = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.configuration);
  CHECK(result.configuration->connections.size() == count);
  CHECK(result.configuration->connections.back().inbound->spi == 0x1000 + count - 1);
  CHECK(result.configuration->connections.back().line == count + 3);
  WARN("loaded in " << took_s << " s of CPU time");
  // Generous, for sanitizers; anything quadratic takes minutes.
  CHECK(took_s < 60);
  result = {};

  // The last connection takes the SPI and the key of the first.
  const auto key_of = [&](std::size_t from) { return text.find("key = ", from) + 7; };
  const auto first = text.find("name = \"c0\"");
  const auto last = text.find(fmt::format("name = \"c{}\"", count - 1));
  text.replace(key_of(last), 42, text.substr(key_of(first), 42));
  text.replace(text.find("spi = ", last) + 6, 7, "0x1000 ");
  result = load(folder.write("espgate.conf", text));
  REQUIRE(result.errors.size() == 2);
  for (const auto& error : result.errors) {
    CHECK(error.line == count + 3);
    CHECK_THAT(error.message, Catch::Contains("connections[0].inbound in line 4"));
  }
}
