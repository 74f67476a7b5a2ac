#include "control/config/words.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "datapath/base/counted.hpp"

using namespace espgate::config;

TEST_CASE("values are shown quoted, printable and cut") {
  CHECK(shown("eth0") == "\"eth0\"");
  CHECK(shown("") == "\"\"");
  CHECK(shown("a\nb\x1b[1m\xff") == "\"a\\x0ab\\x1b[1m\\xff\"");
  const auto cut = shown(std::string(200, 'x'));
  CHECK(cut.size() < 100);
  CHECK_THAT(cut, Catch::EndsWith("...\""));
}

TEST_CASE("what may be key material is not shown, addresses are") {
  CHECK_THAT(shown("0x47e9a2f10c6b35d8"), !Catch::Contains("47e9"));
  CHECK_THAT(shown("prefix 47E9A2F10C6B35D8"), !Catch::Contains("47E9"));
  CHECK(redacted("keys.47e9a2f10c6b35d8x 47e9a2f10c6b: 4294967295") == "keys.(hidden)x (hidden): 4294967295");
  CHECK(redacted("47e9a2f10c6") == "47e9a2f10c6");
  CHECK_THAT(shown("0000:3b:00.0"), Catch::Contains("0000:3b:00.0"));
  CHECK_THAT(shown("2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff/64"), Catch::Contains("2001"));
}

TEST_CASE("the nearest candidate is suggested, a distant one is not") {
  constexpr std::array<std::string_view, 4> keys{"worker-cpus", "control-cpu", "mtu", "vlan"};
  CHECK(nearest("worker-cpu", keys) == "worker-cpus");
  CHECK(nearest("Worker_CPUs", keys) == "worker-cpus");
  CHECK(nearest("mut", keys) == "mtu");
  CHECK(nearest("vlam", keys) == "vlan");
  CHECK_FALSE(nearest("speed", keys));
  CHECK_FALSE(nearest("x", keys));
  CHECK_FALSE(nearest(std::string(100'000, 'm'), keys));
}

TEST_CASE("choices and counts read as English") {
  constexpr std::array<std::string_view, 3> three{"a", "b", "c"};
  CHECK(one_of(three) == "\"a\", \"b\" or \"c\"");
  CHECK(one_of(std::span(three).first(2)) == "\"a\" or \"b\"");
  CHECK(one_of(std::span(three).first(1)) == "\"a\"");
  CHECK(espgate::counted(1, "byte") == "1 byte");
  CHECK(espgate::counted(0, "byte") == "0 bytes");
  CHECK(espgate::counted(2u, "policy") == "2 policies");
}
