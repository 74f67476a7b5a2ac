// What senders are told, byte by byte, and who is told nothing.
#include "control/sizes/icmp_error.hpp"

#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

net::Address us(net::Family family) {
  return *net::parse_address(family == net::Family::v4 ? "10.1.0.1" : "2001:db8:1::1");
}

net::Refusal too_big(std::uint16_t largest) {
  return {net::Refusal::Why::too_big, largest};
}

bool told(const Bytes& packet) {
  const auto family = packet[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6;
  return sizes::icmp_error(packet, too_big(1400), us(family)).has_value();
}

}  // namespace

TEST_CASE("the sender gets the MTU and as much of its packet as fits, under good checksums") {
  Rig rig;
  for (const std::size_t payload : {0u, 1u, 2u, 3u, 1400u}) {
    const auto v4 = rig.inner(net::Family::v4, payload, false);
    const auto message = *sizes::icmp_error(v4, too_big(1400), us(net::Family::v4));
    CHECK(message.size() == std::min<std::size_t>(576, 28 + v4.size()));
    CHECK(net::header_sum(std::span(message).first(20)) == 0xffff);
    Bytes words(message.begin() + 20, message.end());
    words.resize((words.size() + 3) / 4 * 4);
    CHECK(net::header_sum(words) == 0xffff);
    CHECK(message[20] == 3);
    CHECK(message[21] == 4);
    CHECK(net::load_be16(message, 26) == 1400);
    CHECK(std::equal(v4.begin() + 12, v4.begin() + 16, message.begin() + 16));
    CHECK(std::equal(message.begin() + 28, message.end(), v4.begin()));

    const auto v6 = rig.inner(net::Family::v6, payload, false);
    auto six = *sizes::icmp_error(v6, too_big(1300), us(net::Family::v6));
    CHECK(six.size() == std::min<std::size_t>(1280, 48 + v6.size()));
    CHECK(net::load_be16(six, net::ipv6::payload_length) == six.size() - 40);
    CHECK(six[40] == 2);
    CHECK(net::load_be32(six, 44) == 1300);
    CHECK(std::equal(six.begin() + 48, six.end(), v6.begin()));
    const auto checksum = net::load_be16(six, 42);
    net::store_be16(six, 42, 0);
    CHECK(checksum == net::upper_checksum(std::span(six).subspan(8, 32), 58, std::span(six).subspan(40)));
  }
}

TEST_CASE("each refusal has a type and a code of its own, and only one says a size") {
  using Why = net::Refusal::Why;
  struct Row {
    net::Family family;
    Why why;
    std::uint8_t type;
    std::uint8_t code;
  };
  const auto row =
      GENERATE(Row{net::Family::v4, Why::hop_limit, 11, 0}, Row{net::Family::v4, Why::no_route, 3, 0},
               Row{net::Family::v6, Why::hop_limit, 3, 0}, Row{net::Family::v6, Why::no_route, 1, 0});
  Rig rig;
  const auto message = *sizes::icmp_error(rig.inner(row.family, 40, false), {row.why}, us(row.family));
  const std::size_t at = row.family == net::Family::v4 ? 20 : 40;
  CHECK(message[at] == row.type);
  CHECK(message[at + 1] == row.code);
  CHECK(net::load_be32(message, at + 4) == 0);
}

TEST_CASE("nobody is told of ICMP errors, later fragments, groups and nobodies") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig;
  const bool v4 = family == net::Family::v4;
  const auto good = rig.inner(family, 40, false);
  CHECK(told(good));
  auto icmp = good;
  icmp[v4 ? 9 : 6] = v4 ? 1 : 58;
  const std::size_t type_at = v4 ? 20 : 40;
  for (int type = 0; type < 256; ++type) {
    icmp[type_at] = static_cast<std::uint8_t>(type);
    const bool error = v4 ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12 : type < 128;
    CHECK(told(icmp) == !error);
  }
  if (v4) {
    auto later = good;
    later[7] = 1;
    CHECK_FALSE(told(later));
    later[7] = 0;
    later[6] = 0x20;
    CHECK(told(later));
  }
  const std::size_t source = v4 ? 12 : 8;
  const std::size_t address_bytes = v4 ? 4 : 16;
  auto group = good;
  group[source + address_bytes] = v4 ? 224 : 0xff;
  CHECK_FALSE(told(group));
  auto nobody = good;
  std::fill_n(nobody.begin() + static_cast<std::ptrdiff_t>(source), address_bytes, std::uint8_t{0});
  CHECK_FALSE(told(nobody));
  for (std::size_t size = 0; size < (v4 ? 20u : 40u); ++size) {
    const Bytes exact(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(sizes::icmp_error(exact, too_big(1400), us(family)).has_value());
  }
}
