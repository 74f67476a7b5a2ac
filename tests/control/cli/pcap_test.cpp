#include "control/cli/pcap.hpp"

#include <catch2/catch.hpp>

using namespace espgate::cli;

TEST_CASE("the header says nanoseconds, version 2.4 and Ethernet") {
  CHECK(pcap_header() == std::string("\x4d\x3c\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                     "\x00\x00\x04\x00\x01\x00\x00\x00",
                                     24));
}

TEST_CASE("a record has seconds, nanoseconds, both lengths and the bytes") {
  const std::uint8_t data[] = {0xde, 0xad, 0xff};
  CHECK(pcap_record(1'740'830'400'123'456'789, 0x0102, data) ==
        std::string("\xc0\xf6\xc2\x67\x15\xcd\x5b\x07\x03\x00\x00\x00\x02\x01\x00\x00\xde\xad\xff", 19));
}
