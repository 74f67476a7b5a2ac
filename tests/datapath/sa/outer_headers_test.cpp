#include "datapath/sa/outer_headers.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace espgate;
using sa::Encapsulation;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes headers(const char* local, const char* remote, Encapsulation encapsulation) {
  sa::SaParameters parameters;
  parameters.spi = 0x01020304;
  parameters.local = *net::parse_address(local);
  parameters.remote = *net::parse_address(remote);
  parameters.encapsulation = encapsulation;
  parameters.local_port = 4500;
  parameters.remote_port = 0xabcd;
  parameters.outer.df = sa::DfPolicy::set;
  std::uint8_t out[64];
  std::fill(std::begin(out), std::end(out), std::uint8_t{0xee});
  const auto length = sa::write_outer_headers(parameters, out);
  for (std::size_t i = length; i < sizeof out; ++i) CHECK(out[i] == 0);
  return {out, out + length};
}

}  // namespace

TEST_CASE("plain ESP over IPv4") {
  CHECK(headers("192.0.2.1", "198.51.100.9", Encapsulation::none) ==
        Bytes{0x45, 0, 0,   0,  0,   0, 0x40, 0, 64, 50, 0, 0, 192, 0,
              2,    1, 198, 51, 100, 9, 1,    2, 3,  4,  0, 0, 0,   0});
}

TEST_CASE("ESP in UDP over IPv4") {
  CHECK(headers("192.0.2.1", "198.51.100.9", Encapsulation::udp) ==
        Bytes{0x45, 0, 0,    0,    0,    0,    0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51,
              100,  9, 0x11, 0x94, 0xab, 0xcd, 0,    0, 0,  0,  1, 2, 3,   4, 0, 0, 0,   0});
}

TEST_CASE("plain ESP over IPv6") {
  const auto out = headers("2001:db8::1", "2001:db8::ff02", Encapsulation::none);
  CHECK(out == Bytes{0x60, 0, 0, 0, 0, 0, 50,   64, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
                     0,    0, 0, 0, 0, 0, 0,    1,  0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
                     0,    0, 0, 0, 0, 0, 0xff, 2,  1,    2,    3,    4,    0, 0, 0, 0});
}

TEST_CASE("ESP in UDP over IPv6") {
  const auto out = headers("2001:db8::1", "2001:db8::ff02", Encapsulation::udp);
  REQUIRE(out.size() == sa::longest_outer_headers_bytes);
  CHECK(out[6] == 17);
  CHECK(Bytes(out.begin() + 40, out.end()) ==
        Bytes{0x11, 0x94, 0xab, 0xcd, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0});
}

TEST_CASE("DF is in the template only when it is always set") {
  for (const auto df : {sa::DfPolicy::copy, sa::DfPolicy::clear}) {
    sa::SaParameters parameters;
    parameters.outer = {.df = df, .dscp = 46, .hop_limit = 9};
    std::uint8_t out[64];
    sa::write_outer_headers(parameters, out);
    CHECK(out[6] == 0);
    CHECK(out[1] == 46 << 2);
    CHECK(out[8] == 9);
  }
}
