#include "datapath/parse/upper_layer.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "tests/datapath/parse/frames.hpp"

using namespace espgate;
using namespace espgate::parse;
using namespace espgate::testing;

namespace {

net::Flow flow_of(const Frame& packet, net::Family family) {
  net::Flow flow{};
  read_flow(packet, family, flow);
  return flow;
}

constexpr std::uint8_t tcp = 6, udp_protocol = 17, gre = 47;

}  // namespace

TEST_CASE("a flow has the addresses, the protocol and the ports of its packet") {
  const auto flow = flow_of(Ipv4{.protocol = tcp, .source = 0x0a010009, .destination = 0x0a020009}(
                                Frame{0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 0}),
                            net::Family::v4);
  CHECK(flow.addresses[0] == 0x0a0100090a020009);
  CHECK(flow.protocol() == tcp);
  CHECK(flow.local_port() == 40'000);
  CHECK(flow.remote_port() == 443);
  CHECK((flow.ports_known && flow.protocol_known));
}

TEST_CASE("ICMP has its type and code in both places") {
  const auto flow = flow_of(Ipv4{.protocol = 1}(Frame{3, 4, 0, 0}), net::Family::v4);
  CHECK(flow.local_port() == 0x304);
  CHECK(flow.turned().local_port() == 0x304);
}

TEST_CASE("what is not there is unknown") {
  const auto v4 = [](std::uint8_t protocol, std::size_t bytes) {
    return flow_of(Ipv4{.protocol = protocol}(Frame(bytes, 7)), net::Family::v4);
  };
  CHECK(v4(udp_protocol, 4).ports_known);
  CHECK_FALSE(v4(udp_protocol, 3).ports_known);
  CHECK(v4(1, 2).ports_known);
  CHECK_FALSE(v4(1, 1).ports_known);
  CHECK(v4(gre, 0).ports_known);
  CHECK(v4(gre, 9).upper == std::uint64_t{gre} << 32);

  auto later = Ipv4{.protocol = udp_protocol}(Frame(8, 7));
  later[7] = 5;
  CHECK_FALSE(flow_of(later, net::Family::v4).ports_known);
  later[7] = 0;
  later[6] = 0x20;
  CHECK(flow_of(later, net::Family::v4).ports_known);
}

TEST_CASE("IPv6 extension headers are passed over, and hide the protocol of later fragments") {
  const auto packet = [](std::uint8_t inner, std::uint8_t offset_low) {
    return Ipv6{.next_header =
                    0}(Frame{44, 0, 0, 0, 0, 0, 0, 0, inner, 0, 0, offset_low, 0, 0, 0, 1, 0, 1, 0, 2});
  };
  CHECK(flow_of(packet(udp_protocol, 0), net::Family::v6).local_port() == 1);
  CHECK(flow_of(packet(udp_protocol, 1), net::Family::v6).remote_port() == 2);
  const auto later = flow_of(packet(udp_protocol, 8), net::Family::v6);
  CHECK_FALSE(later.ports_known);
  CHECK(later.protocol_known);
  CHECK_FALSE(flow_of(packet(60, 8), net::Family::v6).protocol_known);
  // Cut off: nothing is known of what follows.
  auto cut = packet(udp_protocol, 0);
  cut.resize(50);
  CHECK_FALSE(flow_of(cut, net::Family::v6).protocol_known);
}

TEST_CASE("no packet makes the reader look beyond its end") {
  std::mt19937 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const bool v4 = random() % 2 == 0;
    // On the heap and of exact size, for the address sanitizer to watch.
    Frame packet((v4 ? 20 : 40) + random() % 40);
    for (auto& byte : packet) byte = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 64);
    packet[0] = v4 ? 0x45 : 0x60;
    flow_of(packet, v4 ? net::Family::v4 : net::Family::v6);
  }
}
