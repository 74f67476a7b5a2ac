#include "datapath/net/headers.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace espgate::net;

namespace {

// The words added one by one, carry by carry (RFC 1071 1).
std::uint16_t reference_sum(const std::vector<std::uint8_t>& header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header.size(); i += 2) {
    sum += header[i] * 256U + header[i + 1];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

std::vector<std::uint8_t> random_header(std::mt19937& random, std::size_t bytes) {
  std::vector<std::uint8_t> header(bytes);
  for (auto& byte : header) byte = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
  return header;
}

}  // namespace

TEST_CASE("the header sum is the reference's") {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    const auto header = random_header(random, 20 + random() % 11 * 4);
    CHECK(header_sum(header) == reference_sum(header));
  }
  CHECK(header_sum(std::vector<std::uint8_t>(20, 0)) == 0);
  CHECK(header_sum(std::vector<std::uint8_t>(60, 0xff)) == 0xffff);
}

TEST_CASE("a header with its checksum sums up to ones") {
  // The example of RFC 1071's arithmetic on a real header: 192.168.0.1 to 192.168.0.199, checksum b861.
  std::vector<std::uint8_t> header{0x45, 0, 0,    0x73, 0, 0, 0x40, 0,    0x40, 0x11,
                                   0,    0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,    0xc7};
  CHECK(header_checksum(header) == 0xb861);
  store_be16(header, ipv4::checksum, 0xb861);
  CHECK(header_sum(header) == 0xffff);
}

TEST_CASE("a decremented TTL keeps the header good") {
  std::mt19937 random(2);
  for (int round = 0; round < 200'000; ++round) {
    auto header = random_header(random, 20);
    if (header[8] == 0) header[8] = 1;
    store_be16(header, ipv4::checksum, 0);
    store_be16(header, ipv4::checksum, header_checksum(header));
    const auto before = header[8];
    decrement_ttl(header);
    REQUIRE(header[8] == before - 1);
    REQUIRE(header_sum(header) == 0xffff);
  }
}

TEST_CASE("an updated checksum is the one computed anew, RFC 1624's own example") {
  CHECK(updated_checksum(0xdd2f, 0x5555, 0x3285) == 0x0000);
}

TEST_CASE("an inner packet must be whole") {
  std::uint32_t total = 0;
  std::vector<std::uint8_t> v4(60, 0);
  v4[0] = 0x45;
  v4[3] = 40;
  CHECK(inner_ok(Family::v4, v4, total));
  CHECK(total == 40);
  v4[3] = 60;
  CHECK(inner_ok(Family::v4, v4, total));
  v4[3] = 61;
  CHECK_FALSE(inner_ok(Family::v4, v4, total));
  v4[3] = 19;
  CHECK_FALSE(inner_ok(Family::v4, v4, total));
  v4[3] = 40;
  v4[0] = 0x4b;  // 44 bytes of header
  CHECK_FALSE(inner_ok(Family::v4, v4, total));
  v4[0] = 0x44;
  CHECK_FALSE(inner_ok(Family::v4, v4, total));
  v4[0] = 0x65;
  CHECK_FALSE(inner_ok(Family::v4, v4, total));
  v4[0] = 0x45;
  CHECK_FALSE(inner_ok(Family::v4, std::span(v4).first(19), total));

  std::vector<std::uint8_t> v6(50, 0);
  v6[0] = 0x6f;
  v6[5] = 9;
  CHECK(inner_ok(Family::v6, v6, total));
  CHECK(total == 49);
  v6[5] = 10;
  CHECK(inner_ok(Family::v6, v6, total));
  v6[5] = 11;
  CHECK_FALSE(inner_ok(Family::v6, v6, total));
  v6[5] = 0;
  CHECK_FALSE(inner_ok(Family::v6, std::span(v6).first(39), total));
  v6[0] = 0x40;
  CHECK_FALSE(inner_ok(Family::v6, v6, total));
}
