#include "control/sa/dummy_packet.hpp"

#include <algorithm>

#include "datapath/net/headers.hpp"

namespace espgate::sa {
namespace {

constexpr std::uint8_t hops = 64;

}  // namespace

DummyPacket::DummyPacket(const net::TrafficSelector& selector, std::size_t bytes)
    : size_(std::clamp(bytes, least_bytes, most_bytes)) {
  const bool v4 = selector.family() == net::Family::v4;
  const std::size_t address_bytes = v4 ? 4 : 16;
  const std::size_t header_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  const auto packet = std::span(bytes_).first(size_);
  const auto protocol = selector.protocol.value_or(net::protocol_none);
  std::copy_n(selector.local.first.bytes.begin(), address_bytes,
              packet.subspan(v4 ? net::ipv4::source : net::ipv6::source).begin());
  std::copy_n(selector.remote.first.bytes.begin(), address_bytes,
              packet.subspan(v4 ? net::ipv4::destination : net::ipv6::destination).begin());
  // Ports, or ICMP's type and code, which a selector has in the first.
  net::store_be16(packet, header_bytes, selector.local_ports.first);
  if (!net::is_icmp(protocol)) net::store_be16(packet, header_bytes + 2, selector.remote_ports.first);
  if (v4) {
    packet[0] = 0x45;
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(size_));
    packet[net::ipv4::ttl] = hops;
    packet[net::ipv4::protocol] = protocol;
    net::store_be16(packet, net::ipv4::checksum, net::header_checksum(packet.first(header_bytes)));
  } else {
    packet[0] = 0x60;
    net::store_be16(packet, net::ipv6::payload_length, static_cast<std::uint16_t>(size_ - header_bytes));
    packet[net::ipv6::next_header] = protocol;
    packet[net::ipv6::hop_limit] = hops;
  }
}

}  // namespace espgate::sa
