#include "datapath/sa/selector.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/datapath/sa/from_environment.hpp"

using namespace espgate;
using espgate::test::seed;
using sa::matches;
using sa::Selector;

namespace {

Selector selector(const char* source, const char* destination) {
  const auto from = *net::parse_prefix(source);
  const auto to = *net::parse_prefix(destination);
  Selector result{};
  std::ranges::copy(from.address.bytes, result.source);
  std::ranges::copy(to.address.bytes, result.destination);
  result.source_bits = from.length;
  result.destination_bits = to.length;
  result.family = from.address.family;
  return result;
}

bool under(const Selector& selector, const char* source, const char* destination) {
  const auto from = *net::parse_address(source);
  const auto to = *net::parse_address(destination);
  return matches(selector, from.family, from.bytes.data(), to.bytes.data());
}

}  // namespace

TEST_CASE("both inner addresses must fall under the selector") {
  const auto v4 = selector("10.2.0.0/16", "10.1.0.0/24");
  CHECK(under(v4, "10.2.255.255", "10.1.0.0"));
  CHECK_FALSE(under(v4, "10.3.0.0", "10.1.0.1"));
  CHECK_FALSE(under(v4, "10.2.0.1", "10.1.1.0"));
  CHECK_FALSE(under(v4, "10.1.0.1", "10.2.0.1"));

  const auto v6 = selector("2001:db8:1::/48", "2001:db8:2::5");
  CHECK(under(v6, "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::5"));
  CHECK_FALSE(under(v6, "2001:db8:2::1", "2001:db8:2::5"));
  CHECK_FALSE(under(v6, "2001:db8:1::1", "2001:db8:2::4"));
}

TEST_CASE("a selector for everything of one family takes nothing of the other") {
  CHECK(under(selector("0.0.0.0/0", "0.0.0.0/0"), "255.255.255.255", "1.2.3.4"));
  CHECK(under(selector("::/0", "::/0"), "ffff::1", "::"));
  CHECK_FALSE(under(selector("0.0.0.0/0", "0.0.0.0/0"), "::1", "::2"));
  CHECK_FALSE(under(selector("::/0", "::/0"), "1.2.3.4", "1.2.3.4"));
}

TEST_CASE("every prefix length matches as Prefix::contains does") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    for (int round = 0; round < 20'000; ++round) {
      net::Address address;
      address.family = family;
      const int bits = address.bits();
      for (int i = 0; i < bits / 8; ++i) address.bytes[static_cast<std::size_t>(i)] = random() & 0xff;
      const auto length = random() % (static_cast<unsigned>(bits) + 1);
      const auto prefix = net::masked(address, static_cast<std::uint8_t>(length));
      // Differ in one bit, which is inside the prefix or behind it.
      const auto bit = random() % static_cast<unsigned>(bits);
      address.bytes[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
      Selector one{};
      one.family = family;
      std::ranges::copy(prefix.address.bytes, one.source);
      one.source_bits = prefix.length;
      std::uint8_t anything[16] = {1, 2, 3};
      CAPTURE(net::to_string(prefix), net::to_string(address));
      REQUIRE(matches(one, family, address.bytes.data(), anything) == prefix.contains(address));
      std::swap(one.source, one.destination);
      std::swap(one.source_bits, one.destination_bits);
      REQUIRE(matches(one, family, anything, address.bytes.data()) == prefix.contains(address));
    }
  }
}
