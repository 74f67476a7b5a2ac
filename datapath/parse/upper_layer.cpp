#include "datapath/parse/upper_layer.hpp"

#include "datapath/net/headers.hpp"
#include "datapath/net/transport_headers.hpp"

namespace espgate::parse {
namespace {

using namespace net;

constexpr int most_extension_headers = 8;

bool is_skipped(std::uint8_t protocol, int index) {
  switch (protocol) {
    case protocol_hop_by_hop:
      return index == 0;  // allowed right behind the IPv6 header only (RFC 8200 4.1)
    case protocol_routing:
    case protocol_fragment:
    case protocol_destination_options:
      return true;
    default:
      return false;  // AH, too: what it covers is the receiver's to check
  }
}

bool find_upper_layer_v6(std::span<const std::uint8_t> packet, UpperLayer& upper) {
  std::size_t offset = ipv6_header_bytes;
  upper.protocol = packet[ipv6::next_header];
  for (int index = 0; is_skipped(upper.protocol, index); ++index) {
    if (index == most_extension_headers || offset + 8 > packet.size()) return false;
    std::size_t length = 8;
    if (upper.protocol == protocol_fragment) {
      const std::uint16_t fragment = load_be16(packet, offset + 2);
      upper.fragment = upper.fragment || (fragment & 0xfff9) != 0;
      upper.first_fragment = upper.fragment && (fragment & 0xfff8) == 0;
    } else {
      length += packet[offset + 1] * std::size_t{8};
      if (upper.protocol == protocol_routing && packet[offset + 3] != 0) upper.on_its_way = true;
    }
    upper.protocol = packet[offset];
    offset += length;
    if (offset > packet.size()) return false;
    if (upper.fragment && !upper.first_fragment) break;
  }
  upper.offset = static_cast<std::uint16_t>(offset);
  return true;
}

}  // namespace

bool find_upper_layer(std::span<const std::uint8_t> packet, Family family, UpperLayer& upper) {
  if (family == Family::v6) return find_upper_layer_v6(packet, upper);
  const std::uint16_t fragment = load_be16(packet, ipv4::fragment);
  upper.fragment = (fragment & 0x3fff) != 0;
  upper.first_fragment = upper.fragment && (fragment & 0x1fff) == 0;
  upper.protocol = packet[ipv4::protocol];
  upper.offset = static_cast<std::uint16_t>(packet[0] % 16U * 4U);
  return true;
}

void read_flow(std::span<const std::uint8_t> packet, Family family, const UpperLayer& upper, Flow& flow) {
  const bool v4 = family == Family::v4;
  flow.set_addresses(family, &packet[v4 ? ipv4::source : ipv6::source],
                     &packet[v4 ? ipv4::destination : ipv6::destination]);
  flow.set_upper(upper.protocol, 0, 0);
  const bool later = upper.fragment && !upper.first_fragment;
  // What follows an extension header in a later fragment could be anything.
  flow.protocol_known = v4 || !later || !is_skipped(upper.protocol, 1);
  const bool ports = has_ports(upper.protocol);
  const bool icmp = is_icmp(upper.protocol);
  flow.ports_known = true;
  if (!ports && !icmp) return;
  const std::size_t offset = upper.offset;
  flow.ports_known = !later && offset + (ports ? 4 : 2) <= packet.size();
  if (!flow.ports_known) return;
  const std::uint16_t first = load_be16(packet, offset);
  flow.set_upper(upper.protocol, first, ports ? load_be16(packet, offset + 2) : first);
}

void read_flow(std::span<const std::uint8_t> packet, Family family, Flow& flow) {
  UpperLayer upper;
  const bool found = find_upper_layer(packet, family, upper);
  read_flow(packet, family, upper, flow);
  if (!found) flow.protocol_known = flow.ports_known = false;
}

void read_flow_of_part(std::span<const std::uint8_t> packet, Family family, UpperLayer upper, Flow& flow) {
  if (upper.first_fragment && family == Family::v6)
    if (const auto header = fragment_header(packet)) upper.protocol = packet[header->bytes];
  upper.first_fragment = false;
  read_flow(packet, family, upper, flow);
}

void read_flow_of_part(std::span<const std::uint8_t> packet, Family family, Flow& flow) {
  UpperLayer upper;
  const bool found = find_upper_layer(packet, family, upper);
  read_flow_of_part(packet, family, upper, flow);
  if (!found) flow.protocol_known = flow.ports_known = false;
}

}  // namespace espgate::parse
