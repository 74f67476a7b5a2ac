#include "control/daemon/ike_datagrams.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/ike/describe.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/parse/frame.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t marker_bytes = 4;
constexpr std::uint8_t hop_limit = 64;

bool has_marker(std::uint16_t our_port) {
  return our_port == net::natt_port;
}

std::size_t header_bytes(net::Family family) {
  return family == net::Family::v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
}

// Source and destination, side by side.
std::span<const std::uint8_t> addresses_in(std::span<const std::uint8_t> ip, net::Family family) {
  return family == net::Family::v4 ? ip.subspan(net::ipv4::source, 8) : ip.subspan(net::ipv6::source, 32);
}

}  // namespace

std::optional<ike::DatagramReceived> read_ike_frame(std::span<const std::uint8_t> frame) {
  const auto info = parse::parse_frame(frame, frame.size(), true, 0);
  if (info.kind != parse::FrameKind::ike) return std::nullopt;
  const auto ip = frame.subspan(info.l3_offset);
  const auto udp = frame.subspan(info.l4_offset);
  const std::size_t udp_bytes = net::load_be16(udp, 4);
  const std::size_t marker = has_marker(info.destination_port) ? marker_bytes : 0;
  if (udp_bytes > udp.size() || udp_bytes < net::udp_header_bytes + marker) return std::nullopt;
  const auto datagram = udp.first(udp_bytes);
  const auto addresses = addresses_in(ip, info.family);
  // With a right checksum in place the sum over everything is 0, which the function gives as 0xffff.
  if (net::load_be16(datagram, 6) != 0 &&
      net::upper_checksum(addresses, net::protocol_udp, datagram) != 0xffff)
    return std::nullopt;
  const auto half = addresses.size() / 2;
  const auto payload = datagram.subspan(net::udp_header_bytes + marker);
  return ike::DatagramReceived{
      {net::Address::from_bytes(info.family, addresses.data()), info.source_port},
      {net::Address::from_bytes(info.family, addresses.data() + half), info.destination_port},
      {payload.begin(), payload.end()}};
}

std::string describe_ike_message(std::span<const std::uint8_t> message) {
  ike::Header header;
  if (ike::decode_header(message, header) || ike::describe(header.exchange).empty())
    return fmt::format("{} bytes that are no message of IKEv2", message.size());
  const bool is_part = header.first == ike::PayloadType::encrypted_fragment;
  return fmt::format("{}{} {} {}, {} bytes, of IKE SA 0x{:016x} 0x{:016x}", is_part ? "a part of " : "",
                     ike::describe(header.exchange), header.is_response() ? "answer" : "request",
                     header.message_id, message.size(), header.initiator_spi, header.responder_spi);
}

namespace {

// `marker`: of so many zero bytes in front of the payload.
std::vector<std::uint8_t> udp_packet(const ike::Endpoint& from, const ike::Endpoint& to, std::size_t marker,
                                     std::span<const std::uint8_t> payload) {
  const auto family = from.address.family;
  const std::size_t ip_bytes = header_bytes(family);
  const std::size_t udp_bytes = net::udp_header_bytes + marker + payload.size();
  if (ip_bytes + udp_bytes > net::ip_packet_max) return {};
  std::vector<std::uint8_t> packet(ip_bytes + udp_bytes);
  const std::span ip(packet);
  const std::size_t address_bytes = family == net::Family::v4 ? 4 : 16;
  const std::size_t source = family == net::Family::v4 ? net::ipv4::source : net::ipv6::source;
  std::copy_n(from.address.bytes.begin(), address_bytes, &packet[source]);
  std::copy_n(to.address.bytes.begin(), address_bytes, &packet[source + address_bytes]);
  if (family == net::Family::v4) {
    ip[0] = 0x45;
    net::store_be16(ip, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
    ip[net::ipv4::ttl] = hop_limit;
    ip[net::ipv4::protocol] = net::protocol_udp;
    net::store_be16(ip, net::ipv4::checksum, net::header_checksum(ip.first(ip_bytes)));
  } else {
    ip[0] = 0x60;
    net::store_be16(ip, net::ipv6::payload_length, static_cast<std::uint16_t>(udp_bytes));
    ip[net::ipv6::next_header] = net::protocol_udp;
    ip[net::ipv6::hop_limit] = hop_limit;
  }
  const auto udp = ip.subspan(ip_bytes);
  net::store_be16(udp, 0, from.port);
  net::store_be16(udp, 2, to.port);
  net::store_be16(udp, 4, static_cast<std::uint16_t>(udp_bytes));
  std::ranges::copy(payload, &udp[net::udp_header_bytes + marker]);
  net::store_be16(udp, 6, net::upper_checksum(addresses_in(ip, family), net::protocol_udp, udp));
  return packet;
}

}  // namespace

std::vector<std::uint8_t> ike_packet(const ike::SendDatagram& datagram) {
  return udp_packet(datagram.from, datagram.to, has_marker(datagram.from.port) ? marker_bytes : 0,
                    datagram.bytes);
}

std::vector<std::uint8_t> nat_keepalive_packet(const ike::Endpoint& from, const ike::Endpoint& to) {
  constexpr std::uint8_t byte[] = {0xff};
  return udp_packet(from, to, 0, byte);
}

}  // namespace espgate::daemon
