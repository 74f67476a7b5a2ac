// ICMP errors go under the SA of the traffic that they are about, whoever sends them (RFC 4301 6.2).
#include "datapath/parse/icmp_error.hpp"

#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::size_t icmp_bytes = 8, upper_bytes = 8;

std::size_t header_bytes(net::Family family) {
  return family == net::Family::v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
}

void readdress(Bytes& packet, std::size_t at4, std::size_t at6, const char* text) {
  const auto address = *net::parse_address(text);
  const bool v4 = address.family == net::Family::v4;
  std::copy_n(address.bytes.begin(), v4 ? 4 : 16,
              packet.begin() + static_cast<std::ptrdiff_t>(v4 ? at4 : at6));
  if (v4) mend_checksum(packet);
}

// "Destination unreachable" from `router` to the sender of `about`, of which it quotes the beginning.
Bytes unreachable(const char* router, const Bytes& about) {
  const auto family = about[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6;
  const bool v4 = family == net::Family::v4;
  const auto headers = header_bytes(family);
  Bytes packet(headers + icmp_bytes);
  packet[0] = v4 ? 0x45 : 0x60;
  packet.insert(packet.end(), about.begin(),
                about.begin() + static_cast<std::ptrdiff_t>(headers + upper_bytes));
  packet[v4 ? net::ipv4::ttl : net::ipv6::hop_limit] = 64;
  packet[v4 ? net::ipv4::protocol : net::ipv6::next_header] = v4 ? net::protocol_icmp : net::protocol_icmpv6;
  packet[headers] = v4 ? 3 : 1;
  if (v4)
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
  else
    net::store_be16(packet, net::ipv6::payload_length, static_cast<std::uint16_t>(packet.size() - headers));
  const std::size_t source = v4 ? net::ipv4::source : net::ipv6::source;
  const std::size_t destination = v4 ? net::ipv4::destination : net::ipv6::destination;
  std::copy_n(about.begin() + static_cast<std::ptrdiff_t>(source), v4 ? 4 : 16,
              packet.begin() + static_cast<std::ptrdiff_t>(destination));
  readdress(packet, net::ipv4::source, net::ipv6::source, router);
  return packet;
}

struct Network {
  net::Family family;
  const char* router;    // that no policy names
  const char* stranger;  // neither
  std::uint8_t next_header;
  Verdict no_policy, not_selected;
};

constexpr Network networks[] = {
    {net::Family::v4, "10.99.0.1", "10.77.0.9", 4, Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
     Verdict::IN_V4_POST_INPUT_POLICY_FAIL},
    {net::Family::v6, "2001:db8:99::1", "2001:db8:77::9", 41, Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL,
     Verdict::IN_V6_POST_INPUT_POLICY_FAIL}};

Bytes to(const char* destination, Bytes packet) {
  readdress(packet, net::ipv4::destination, net::ipv6::destination, destination);
  return packet;
}

// The rig's networks, for what its packets have: UDP from 1234 to 9.
std::vector<net::TrafficSelector> by_ports() {
  std::vector<net::TrafficSelector> result;
  for (const auto& [local, remote] :
       {std::pair("10.1.0.0/24", "10.2.0.0/16"), std::pair("2001:db8:1::/64", "2001:db8:2::/48")}) {
    auto selector = net::between(*net::parse_prefix(local), *net::parse_prefix(remote));
    selector.protocol = net::protocol_udp;
    selector.local_ports = {1234, 1234};
    selector.remote_ports = {9, 9};
    result.push_back(selector);
  }
  return result;
}

// What comes from the peer has its ports the other way round.
Bytes answer_of(const Rig& rig, net::Family family) {
  auto packet = rig.inner(family, 40, true);
  net::store_be16(packet, header_bytes(family), 9);
  net::store_be16(packet, header_bytes(family) + 2, 1234);
  return packet;
}

}  // namespace

TEST_CASE("an error about what came under an SA goes back under its policy") {
  const auto network = GENERATE(from_range(std::begin(networks), std::end(networks)));
  const bool with_ports = GENERATE(false, true);
  SaOptions options;
  if (with_ports) options.selectors = by_ports();
  Rig rig(options);
  const auto about = answer_of(rig, network.family);
  const auto sends = [&](const Bytes& packet) {
    return rig.run(Rig::inside, rig.frame_to(Rig::inside, packet));
  };

  const auto error = unreachable(network.router, about);
  const auto out = sends(error);
  REQUIRE(out.outside.size() == 1);
  CHECK(rig.open(out.outside[0]) == forwarded(error));
  CHECK(rig.verdicts() == "FORWARDED=1");

  auto no_error = error;
  no_error[header_bytes(network.family)] = network.family == net::Family::v4 ? 8 : 128;
  auto cut_off = unreachable(network.router, about);
  cut_off.pop_back();
  if (network.family == net::Family::v4) {
    net::store_be16(cut_off, net::ipv4::total_length, static_cast<std::uint16_t>(cut_off.size()));
    mend_checksum(cut_off);
  } else {
    net::store_be16(cut_off, net::ipv6::payload_length, static_cast<std::uint16_t>(cut_off.size() - 40));
  }
  const auto about_others = unreachable(network.router, to(network.stranger, about));
  const auto to_another = to(network.family == net::Family::v4 ? "10.2.0.8" : "2001:db8:2::8", error);
  for (const auto& packet : {no_error, cut_off, about_others, to_another}) {
    CHECK(sends(packet).outside.empty());
    CHECK(rig.taken(network.no_policy) == 1);
  }
  CHECK(rig.conserved());
}

TEST_CASE("an error that came under an SA is judged by the packet of ours that it is about") {
  const auto network = GENERATE(from_range(std::begin(networks), std::end(networks)));
  const bool with_ports = GENERATE(false, true);
  SaOptions options;
  if (with_ports) options.selectors = by_ports();
  Rig rig(options);
  const auto about = rig.inner(network.family, 40, false);
  std::uint64_t sequence = 0;
  const auto arrives = [&](const Bytes& packet) {
    return rig.run(Rig::outside, rig.esp_frame(++sequence, packet, network.next_header));
  };
  const auto error = unreachable(network.router, about);
  const auto in = arrives(error);
  REQUIRE(in.inside.size() == 1);
  CHECK(Bytes(in.inside[0].begin() + 14, in.inside[0].end()) == forwarded(error));
  const auto about_others = unreachable(network.router, to(network.stranger, about));
  auto no_error = error;
  no_error[header_bytes(network.family)] = network.family == net::Family::v4 ? 8 : 128;
  const auto to_another = to(network.stranger, error);
  for (const auto& packet : {about_others, no_error, to_another}) {
    CHECK(arrives(packet).inside.empty());
    CHECK(rig.taken(network.not_selected) == 1);
  }
  if (with_ports) {  // of the other end itself, with a protocol that the SA is not for
    const char* far = network.family == net::Family::v4 ? "10.2.0.9" : "2001:db8:2::9";
    CHECK(arrives(unreachable(far, about)).inside.size() == 1);
    auto other_port = about;
    net::store_be16(other_port, header_bytes(network.family) + 2, 10);
    CHECK(arrives(unreachable(far, other_port)).inside.empty());
    CHECK(rig.taken(network.not_selected) == 1);
  }
  CHECK(rig.conserved());
}

TEST_CASE("an error is read only as far as it is there, and quotes a whole header") {
  const auto network = GENERATE(from_range(std::begin(networks), std::end(networks)));
  Rig rig;
  const auto error = unreachable(network.router, rig.inner(network.family, 40, true));
  const auto headers = header_bytes(network.family);
  for (std::size_t bytes = headers; bytes <= error.size(); ++bytes) {
    const Bytes beginning(error.begin(),
                          error.begin() + static_cast<std::ptrdiff_t>(bytes));  // for the sanitizer
    CHECK(parse::quoted_by_error(beginning, network.family).size() ==
          (bytes == error.size() ? headers + upper_bytes : 0));
  }
  auto odd = error;
  for (const int first_byte : {0x44, 0x4f, 0x00, 0x50, 0x65}) {
    odd[headers + icmp_bytes] = static_cast<std::uint8_t>(first_byte);
    const bool whole = network.family == net::Family::v6 && first_byte >> 4 == 6;
    CHECK(parse::quoted_by_error(odd, network.family).empty() == !whole);
  }
}
