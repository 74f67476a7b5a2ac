#include "datapath/net/traffic_selector.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "datapath/net/flow.hpp"

using namespace espgate::net;

TEST_CASE("ranges are read, printed and cut off where they end") {
  for (const auto* text :
       {"10.1.0.0/16", "10.1.0.7/32", "10.1.0.5-10.1.1.20", "::/0", "2001:db8::5-2001:db8::7"})
    CHECK(to_string(parse_range(text).value()) == text);
  CHECK(to_string(parse_range("10.1.0.7").value()) == "10.1.0.7/32");
  CHECK(to_string(parse_range("10.1.0.0-10.1.255.255").value()) == "10.1.0.0/16");
  for (const auto* text : {"", "-", "10.1.0.1/16", "10.1.0.9-10.1.0.5", "10.1.0.1-2001:db8::1", "10.1.0.1-",
                           "10.1.0.0/16-10.2.0.0/16", "10.1.0.1-10.1.0.2-10.1.0.3"})
    CHECK_FALSE(parse_range(text));
}

TEST_CASE("the cover of a range is the shortest prefix around it") {
  CHECK(to_string(parse_range("10.1.0.255-10.1.1.0")->cover()) == "10.1.0.0/23");
  CHECK(to_string(parse_range("127.255.255.255-128.0.0.0")->cover()) == "0.0.0.0/0");
  CHECK(to_string(parse_range("2001:db8::1-2001:db8::1:0:0:0")->cover()) == "2001:db8::/79");
  CHECK(parse_range("10.1.0.7")->is_prefix());
  CHECK_FALSE(parse_range("10.1.0.6-10.1.0.8")->is_prefix());
}

TEST_CASE("ports, types and protocols are read as written, and nothing else is") {
  CHECK(parse_ports("443") == PortRange{443, 443});
  CHECK(parse_ports("0-65535")->is_everything());
  for (const auto* text : {"", "65536", "5-4", "-5", "5-", "http", " 5"}) CHECK_FALSE(parse_ports(text));
  CHECK(parse_icmp_types("8") == PortRange{0x800, 0x8ff});
  CHECK(parse_icmp_types("3/4") == PortRange{0x304, 0x304});
  CHECK(parse_icmp_types("3-5") == PortRange{0x300, 0x5ff});
  for (const auto* text : {"", "256", "3-5/1", "8/", "/1", "8/256"}) CHECK_FALSE(parse_icmp_types(text));
  for (const auto* text : {"8", "3/4", "3/0-4", "3-5"}) CHECK(icmp_text(*parse_icmp_types(text)) == text);
  CHECK(parse_protocol("tcp") == 6);
  CHECK(parse_protocol("47") == 47);
  CHECK(protocol_name(47) == "gre");
  CHECK(protocol_name(200) == "200");
  for (const auto* text : {"", "256", "TCP", "-1"}) CHECK_FALSE(parse_protocol(text));
}

TEST_CASE("a selector contains what takes no more than it") {
  auto wide = between(*parse_prefix("10.1.0.0/16"), *parse_prefix("10.2.0.0/16"));
  auto narrow = between(*parse_prefix("10.1.1.0/24"), *parse_prefix("10.2.0.9"));
  CHECK(wide.contains(wide));
  CHECK(wide.contains(narrow));
  CHECK_FALSE(narrow.contains(wide));
  wide.protocol = 6;
  CHECK_FALSE(wide.contains(narrow));
  narrow.protocol = 6;
  wide.remote_ports = {400, 500};
  CHECK_FALSE(wide.contains(narrow));
  narrow.remote_ports = {443, 443};
  CHECK(wide.contains(narrow));
  CHECK(to_string(narrow) == "10.1.1.0/24 > 10.2.0.9/32 port 443, tcp");
}

TEST_CASE("ranges of a flow's words agree with ranges of addresses") {
  std::mt19937 random(1);
  for (const auto family : {Family::v4, Family::v6}) {
    const auto address = [&] {
      Address result;
      result.family = family;
      for (int i = 0; i < result.bits() / 8; ++i)
        result.bytes[static_cast<std::size_t>(i)] =
            random() % 2 == 0 ? 0 : static_cast<std::uint8_t>(random() % 3);
      return result;
    };
    const auto range = [&] {
      const auto a = address(), b = address();
      return AddressRange{std::min(a, b), std::max(a, b)};
    };
    for (int i = 0; i < 20'000; ++i) {
      const auto local = range(), remote = range();
      const auto one = address(), other = address();
      Flow flow{};
      flow.set_addresses(family, one.bytes.data(), other.bytes.data());
      REQUIRE(within(FlowRanges::of(local, remote), flow) == (local.contains(one) && remote.contains(other)));
    }
  }
}
