#include "control/cli/values.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <random>

using namespace espgate::cli;

TEST_CASE("SPIs are read in hexadecimal and decimal and written in one way") {
  CHECK(spi_text(0x1001) == "0x00001001");
  CHECK(spi_text(0xffffffff) == "0xffffffff");
  CHECK(parse_spi("0x1001") == 0x1001u);
  CHECK(parse_spi("0X1001") == 0x1001u);
  CHECK(parse_spi("4294967295") == 0xffffffffu);
  for (const auto* bad :
       {"", "0", "0x", "0x0", "4294967296", "0x100000000", "-1", "+1", " 1", "1 ", "1x", "ff"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_spi(bad));
  }
}

TEST_CASE("times are RFC 3339 in UTC") {
  using namespace std::chrono;
  const system_clock::time_point time{
      duration_cast<system_clock::duration>(nanoseconds(1'740'830'400'123'456'789))};
  CHECK(time_text(time) == "2025-03-01T12:00:00Z");
  CHECK(time_text(time, 6) == "2025-03-01T12:00:00.123456Z");
  CHECK(time_text(time, 9) == "2025-03-01T12:00:00.123456789Z");
  CHECK(time_text(system_clock::time_point{}, 3) == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("base64 has the vectors of RFC 4648 section 10") {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    const std::vector<std::uint8_t> bytes(plain.begin(), plain.end());
    CHECK(base64(bytes) == encoded);
    CHECK(from_base64(encoded) == bytes);
  }
}

TEST_CASE("base64 that is none is refused") {
  for (const auto* bad : {"Z", "Zg", "Zg=", "Z===", "====", "Zm9v!m9v", "=Zg=", "Zg==Zg==", "Zm 9v"}) {
    CAPTURE(bad);
    CHECK_FALSE(from_base64(bad));
  }
}

TEST_CASE("any bytes survive base64") {
  std::mt19937 random(7);
  for (std::size_t size = 0; size < 200; ++size) {
    std::vector<std::uint8_t> bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    REQUIRE(from_base64(base64(bytes)) == bytes);
  }
}
