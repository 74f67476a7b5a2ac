#include "drivers/host/tap.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>

#include "datapath/net/headers.hpp"
#include "datapath/net/transport_headers.hpp"
#include "drivers/host/descriptor.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {

using host::Mac;
using host::Tap;

TEST_CASE("The twin has the name, MAC address and MTU it was given") {
  const Mac mac{2, 0, 0, 0, 0x12, 0x34};
  auto tap = Tap::create({"twin0", mac, 1400});
  REQUIRE(tap);
  CHECK(static_cast<unsigned>(tap->ifindex()) == ::if_nametoindex("twin0"));
  const auto shown = output_of("ip link show twin0");
  CHECK(shown.find("02:00:00:00:12:34") != std::string::npos);
  CHECK(shown.find("mtu 1400") != std::string::npos);
}

TEST_CASE("The twin goes with its object, and its name is free again") {
  { const auto tap = make_tap("twin0", 1); }
  CHECK(::if_nametoindex("twin0") == 0);
  const auto again = Tap::create({"twin0", {2, 0, 0, 0, 0, 1}, 1500});
  CHECK(again.has_value());
}

TEST_CASE("The carrier follows the port's link") {
  auto tap = Tap::create({"twin0", {2, 0, 0, 0, 0, 1}, 1500});
  REQUIRE(tap);
  CHECK(output_of("ip link show twin0").find("NO-CARRIER") != std::string::npos);
  REQUIRE(tap->set_carrier(true));
  CHECK(output_of("ip link show twin0").find("LOWER_UP") != std::string::npos);
  REQUIRE(tap->set_carrier(false));
  CHECK(output_of("ip link show twin0").find("NO-CARRIER") != std::string::npos);
}

// A carrier that comes later would have the kernel drop them for a while.
TEST_CASE("With a carrier from the beginning the kernel's first frames come") {
  const std::array<std::uint8_t, 60> sent{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
  for (int i = 0; i < 20; ++i) {
    auto tap = Tap::create({"twin0", {2, 0, 0, 0, 0, 1}, 1500, false, true});
    REQUIRE(tap);
    const host::Descriptor sender(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = tap->ifindex();
    REQUIRE(::sendto(sender.get(), sent.data(), sent.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof to) == static_cast<ssize_t>(sent.size()));
    std::array<std::uint8_t, 1600> frame;
    CHECK(wait_for([&] {
      const auto bytes = tap->read(frame);
      return bytes && *bytes == sent.size() && std::equal(sent.begin(), sent.end(), frame.begin());
    }));
  }
}

TEST_CASE("A name that is taken, or that the kernel would misread, is refused with a remedy") {
  const auto first = make_tap("twin0", 1);
  const auto second = Tap::create({"twin0", {2, 0, 0, 0, 0, 2}, 1500});
  REQUIRE(!second);
  CHECK(second.error().text().find("ip link del twin0") != std::string::npos);

  run("ip link add taken type veth peer name taken-peer");
  const auto veth = Tap::create({"taken", {2, 0, 0, 0, 0, 2}, 1500});
  REQUIRE(!veth);
  CHECK(veth.error().text().find("ip link del taken") != std::string::npos);
  run("ip link del taken");

  for (const char* name : {"", "a%d", "a/b", "sixteen-letters-", "a b", ".."}) {
    INFO(name);
    const auto tap = Tap::create({name, {2, 0, 0, 0, 0, 1}, 1500});
    REQUIRE(!tap);
    CHECK(tap.error().remedy.find("15") != std::string::npos);
  }
}

TEST_CASE("A multicast MAC address is refused and leaves no interface behind") {
  const auto tap = Tap::create({"twin0", {3, 0, 0, 0, 0, 1}, 1500});
  REQUIRE(!tap);
  CHECK(tap.error().what.find("03:00:00:00:00:01") != std::string::npos);
  CHECK(::if_nametoindex("twin0") == 0);
}

TEST_CASE("The kernel answers an ARP request that is written into the twin") {
  auto tap = make_tap("twin0", 1);
  auto commands = host::KernelCommands::create();
  REQUIRE(commands);
  REQUIRE(commands->add_address(tap.ifindex(), interface_address("10.0.0.1/24")));

  const Mac peer{2, 0, 0, 0, 0, 9};
  const auto request = arp(1, peer, address("10.0.0.2"), {}, address("10.0.0.1"));
  Frame reply;
  // The kernel sends nothing until it has taken note of the carrier, so ask more than once.
  CHECK(wait_for([&] {
    REQUIRE(tap.write(request));
    reply = next_frame(
        tap, [](const Frame& frame) { return is_arp(frame, 2, address("10.0.0.2")); },
        std::chrono::milliseconds(50));
    return !reply.empty();
  }));
  REQUIRE(!reply.empty());
  CHECK(std::equal(peer.begin(), peer.end(), reply.begin()));
  const Mac twin{2, 0, 0, 0, 0, 1};
  CHECK(std::equal(twin.begin(), twin.end(), reply.begin() + 22));
}

TEST_CASE("Reading a removed twin says so") {
  auto tap = make_tap("twin0", 1);
  run("ip link del twin0");
  Frame frame(2048);
  const auto bytes = tap.read(frame);
  REQUIRE(!bytes);
  CHECK(bytes.error().remedy.find("restart") != std::string::npos);
}

TEST_CASE("IPv6 needs no duplicate address detection on the twin") {
  const auto tap = make_tap("twin0", 1);
  const auto has_link_local = [] {
    const auto shown = output_of("ip -6 addr show dev twin0 scope link");
    return shown.find("fe80::ff:fe00:1/64") != std::string::npos &&
           shown.find("tentative") == std::string::npos;
  };
  CHECK(wait_for(has_link_local, std::chrono::milliseconds(300)));
}

// RFC 4861 7.2.4. A host drops what it learned of paths through a gateway that says it is none.
TEST_CASE("The kernel answers for the twin as a router, and forwards nothing itself") {
  auto tap = make_tap("twin0", 1);
  constexpr std::size_t ip = net::ethernet_bytes, icmp = ip + net::ipv6_header_bytes;
  constexpr std::uint8_t solicitation = 135, advertisement = 136, router = 0x80;
  // fe80::9 asks who has fe80::ff:fe00:1.
  Frame request{0x33, 0x33, 0xff, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255};
  for (const auto* end : {"fe80::9", "ff02::1:ff00:1"}) {
    const auto parsed = address(end);
    request.insert(request.end(), parsed.bytes.begin(), parsed.bytes.end());
  }
  request.insert(request.end(), {solicitation, 0, 0, 0, 0, 0, 0, 0});
  const auto target = address("fe80::ff:fe00:1");
  request.insert(request.end(), target.bytes.begin(), target.bytes.end());
  request.insert(request.end(), {1, 1, 2, 0, 0, 0, 0, 9});  // and says where it is
  const std::span message = std::span(request).subspan(icmp);
  net::store_be16(message, 2,
                  net::upper_checksum(std::span(request).subspan(ip + net::ipv6::source, 32),
                                      net::protocol_icmpv6, message));
  Frame reply;
  CHECK(wait_for([&] {
    REQUIRE(tap.write(request));
    reply = next_frame(
        tap, [](const Frame& frame) { return frame.size() > icmp + 4 && frame[icmp] == advertisement; },
        std::chrono::milliseconds(50));
    return !reply.empty();
  }));
  REQUIRE(!reply.empty());
  CHECK((reply[icmp + 4] & router) != 0);
  CHECK(output_of("sysctl -n net.ipv6.conf.all.forwarding") == "0\n");
}

TEST_CASE("A tunnel's link has no MAC address, and takes and gives whole IP packets") {
  auto made = Tap::create({"tun7", {}, 1400, true});
  REQUIRE(made);
  auto& tun = *made;
  REQUIRE(tun.set_carrier(true));
  const auto shown = output_of("ip link show dev tun7");
  CHECK(shown.find("link/none") != std::string::npos);
  CHECK(shown.find("mtu 1400") != std::string::npos);
  REQUIRE(tun.set_mtu(1300));
  CHECK(output_of("ip link show dev tun7").find("mtu 1300") != std::string::npos);
  auto commands = host::KernelCommands::create();
  REQUIRE(commands);
  REQUIRE(commands->add_address(tun.ifindex(), interface_address("10.0.0.1/30")));
  // An echo request from the far end; the kernel's reply is the next IPv4 packet.
  const Frame request{0x45, 0, 0,  28, 0, 1, 0, 0, 64,   1,    0x66, 0xde, 10, 0,
                      0,    2, 10, 0,  0, 1, 8, 0, 0xf7, 0xfd, 0,    1,    0,  1};
  Frame reply;
  CHECK(wait_for([&] {
    REQUIRE(tun.write(request));
    reply = next_frame(
        tun, [](const Frame& packet) { return packet[0] == 0x45 && packet.size() == 28 && packet[20] == 0; },
        std::chrono::milliseconds(50));
    return !reply.empty();
  }));
}

}  // namespace espgate::test
