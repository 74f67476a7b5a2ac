#include "datapath/net/address.hpp"

#include <catch2/catch.hpp>

using namespace espgate::net;

TEST_CASE("addresses parse and print in both families") {
  for (const auto* text : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::"}) {
    const auto address = parse_address(text);
    REQUIRE(address);
    CHECK(to_string(*address) == text);
  }
  CHECK(parse_address("192.0.2.1")->v4_value() == 0xc0000201);
  CHECK(Address::v4(0xc0000201) == *parse_address("192.0.2.1"));
}

TEST_CASE("what is not exactly an address is refused") {
  const std::string with_nul("192.0.2.1\0x", 11);
  for (const auto* text : {"", " 192.0.2.1", "192.0.2", "192.0.2.256", "2001:db8::1%eth0", "host"})
    CHECK_FALSE(parse_address(text));
  CHECK_FALSE(parse_address(with_nul));
}

TEST_CASE("a prefix with host bits is a typing mistake") {
  CHECK(parse_prefix("10.1.0.0/16"));
  CHECK_FALSE(parse_prefix("10.1.0.1/16"));
  CHECK_FALSE(parse_prefix("10.1.0.0/33"));
  CHECK_FALSE(parse_prefix("10.1.0.0/-1"));
  CHECK_FALSE(parse_prefix("10.1.0.0/"));
  CHECK(parse_prefix("10.1.0.1")->length == 32);
  CHECK(parse_prefix("2001:db8::/33"));
  CHECK_FALSE(parse_prefix("2001:db8:8000::/32"));
  CHECK(to_string(*parse_prefix("2001:db8::/32")) == "2001:db8::/32");
}

TEST_CASE("containment and overlap look at leading bits only") {
  const auto net = *parse_prefix("10.1.128.0/17");
  CHECK(net.contains(*parse_address("10.1.255.255")));
  CHECK_FALSE(net.contains(*parse_address("10.1.127.255")));
  CHECK_FALSE(net.contains(*parse_address("2001:db8::1")));
  CHECK(net.overlaps(*parse_prefix("10.0.0.0/8")));
  CHECK(parse_prefix("0.0.0.0/0")->overlaps(net));
  CHECK_FALSE(net.overlaps(*parse_prefix("10.1.0.0/17")));
  CHECK(masked(*parse_address("255.255.255.255"), 9) == *parse_prefix("255.128.0.0/9"));
  CHECK(masked(*parse_address("255.255.255.255"), 0) == *parse_prefix("0.0.0.0/0"));
}
