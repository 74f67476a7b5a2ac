#include "datapath/parse/frame.hpp"

#include <algorithm>
#include <array>

#include "datapath/net/headers.hpp"
#include "datapath/parse/upper_layer.hpp"

namespace espgate::parse {
namespace {

using namespace net;

constexpr int most_vlan_tags = 2;

using Bytes = std::span<const std::uint8_t>;

// The functions below fill in the caller's FrameInfo in place: it is written field by field, and copying it
// right after would stall on the narrow stores.
inline void invalid(FrameInfo& info, Verdict reason) {
  info.kind = FrameKind::invalid;
  info.reason = reason;
}
inline void damaged(FrameInfo& info, Verdict reason) {
  info.kind = FrameKind::damaged;
  info.reason = reason;
}

// `bytes` ends where the packet or the contiguous part of the frame ends.
inline void read_esp(FrameInfo& info, Bytes bytes, std::size_t offset, FrameKind kind) {
  if (offset + esp_header_bytes > bytes.size()) return damaged(info, Verdict::IN_ESP_RUNT);
  info.spi = load_be32(bytes, offset);
  info.sequence = load_be32(bytes, offset + 4);
  info.kind = kind;
}

// UDP 4500 (RFC 3948 2). `udp_bytes` is what the IP header leaves for UDP, which must agree with UDP's own
// length: there is no innocent way for it not to.
void read_natt(FrameInfo& info, Bytes bytes, std::size_t udp_bytes) {
  constexpr std::size_t marker_bytes = 4;
  const std::size_t payload = info.l4_offset + udp_header_bytes;
  if (load_be16(bytes, info.l4_offset + 4U) != udp_bytes)
    return damaged(info, Verdict::IN_NATT_LENGTH_MISMATCH);
  if (udp_bytes == udp_header_bytes + 1 && payload < bytes.size() && bytes[payload] == 0xff) {
    info.kind = FrameKind::nat_keepalive;
    return;
  }
  if (udp_bytes < udp_header_bytes + marker_bytes) return damaged(info, Verdict::IN_NATT_LENGTH_MISMATCH);
  if (payload + marker_bytes <= bytes.size() && load_be32(bytes, payload) == 0) {
    info.kind = FrameKind::ike;
    return;
  }
  return read_esp(info, bytes, payload, FrameKind::esp_in_udp);
}

void read_udp(FrameInfo& info, Bytes bytes, std::size_t udp_bytes) {
  info.kind = FrameKind::ip;
  if (info.l4_offset + 4U > bytes.size()) return;
  const std::uint16_t port = load_be16(bytes, info.l4_offset + 2U);
  if (port != ike_port && port != natt_port) return;
  if (info.fragment) return;
  if (info.l4_offset + udp_header_bytes > bytes.size()) return damaged(info, Verdict::UDP_HEADER_INVALID);
  const std::uint16_t length = load_be16(bytes, info.l4_offset + 4U);
  info.source_port = load_be16(bytes, info.l4_offset);
  info.destination_port = port;
  if (port == natt_port) return read_natt(info, bytes, udp_bytes);
  if (length < udp_header_bytes || length > udp_bytes) return damaged(info, Verdict::UDP_HEADER_INVALID);
  info.kind = FrameKind::ike;
}

inline void read_upper_layer(FrameInfo& info, Bytes bytes) {
  const std::size_t end = info.l3_offset + std::size_t{info.l3_bytes};
  const Bytes packet = bytes.first(std::min(bytes.size(), end));
  const bool header_is_here = !info.fragment || info.first_fragment;
  if (info.protocol == protocol_esp && header_is_here) [[likely]]
    return read_esp(info, packet, info.l4_offset, FrameKind::esp);
  if (info.protocol == protocol_udp && header_is_here) return read_udp(info, packet, end - info.l4_offset);
  info.kind = info.protocol == protocol_esp ? FrameKind::esp : FrameKind::ip;
}

// RFC 1122 3.2.1.3. The unspecified address may ask for an address (DHCP), so as a source it goes only with
// the limited broadcast address.
inline bool ipv4_source_possible(std::uint32_t source, std::uint32_t destination) {
  constexpr std::uint32_t broadcast = 0xffffffff;
  const std::uint32_t network = source >> 24;
  if (network - 1 < 126 || network - 128 < 96) [[likely]]
    return true;  // 1/8 to 126/8, 128/8 to 223/8
  if (source == 0) return destination == broadcast;
  return network != 127 && network >> 4 != 0xe && source != broadcast;
}

inline void parse_ipv4(FrameInfo& info, Bytes bytes, std::size_t frame_bytes, bool checksum_known_good) {
  info.family = Family::v4;
  const Bytes packet = bytes.subspan(info.l3_offset);
  if (packet.size() < ipv4_header_bytes) return invalid(info, Verdict::IPV4_HEADER_INVALID);
  const std::size_t header_bytes = packet[0] % 16U * 4U;
  if (packet[0] >> 4 != 4 || header_bytes < ipv4_header_bytes || header_bytes > packet.size())
    return invalid(info, Verdict::IPV4_HEADER_INVALID);
  if (!checksum_known_good) {
    const auto sum = header_bytes == ipv4_header_bytes ? header_sum(packet.first<ipv4_header_bytes>())
                                                       : header_sum(packet.first(header_bytes));
    if (sum != 0xffff) return invalid(info, Verdict::IPV4_CHECKSUM_BAD);
  }
  info.l3_bytes = load_be16(packet, ipv4::total_length);
  if (info.l3_bytes < header_bytes || info.l3_offset + std::size_t{info.l3_bytes} > frame_bytes)
    return invalid(info, Verdict::IPV4_LENGTH_INVALID);
  if (!ipv4_source_possible(load_be32(packet, ipv4::source), load_be32(packet, ipv4::destination)))
    return invalid(info, Verdict::IP_SOURCE_INVALID);

  const std::uint16_t fragment = load_be16(packet, ipv4::fragment);
  if ((fragment & 0x3fff) != 0) {  // more fragments, or an offset
    info.fragment = true;
    info.first_fragment = (fragment & 0x1fff) == 0;
  }
  info.protocol = packet[ipv4::protocol];
  info.l4_offset = static_cast<std::uint16_t>(info.l3_offset + header_bytes);
  return read_upper_layer(info, bytes);
}

// RFC 4291 2.5.2, 2.5.3, 2.7. The unspecified address probes for duplicates (RFC 4862 5.4.2), so as a source
// it goes only with a multicast destination.
bool ipv6_source_possible(Bytes packet) {
  if (packet[ipv6::source] == 0xff) return false;
  if (load_be64(packet, ipv6::source) != 0) return true;
  const std::uint64_t low = load_be64(packet, ipv6::source + 8);
  return low > 1 || (low == 0 && packet[ipv6::destination] == 0xff);
}

void parse_ipv6(FrameInfo& info, Bytes bytes, std::size_t frame_bytes) {
  info.family = Family::v6;
  const Bytes packet = bytes.subspan(info.l3_offset);
  if (packet.size() < ipv6_header_bytes || packet[0] >> 4 != 6)
    return invalid(info, Verdict::IPV6_HEADER_INVALID);
  const std::size_t total = ipv6_header_bytes + load_be16(packet, ipv6::payload_length);
  if (info.l3_offset + total > frame_bytes) return invalid(info, Verdict::IPV6_LENGTH_INVALID);
  info.l3_bytes = static_cast<std::uint16_t>(total);
  if (!ipv6_source_possible(packet)) return invalid(info, Verdict::IP_SOURCE_INVALID);
  UpperLayer upper;
  if (!find_upper_layer(packet.first(std::min(packet.size(), total)), Family::v6, upper))
    return invalid(info, Verdict::IPV6_EXTENSION_INVALID);
  info.protocol = upper.protocol;
  info.fragment = upper.fragment;
  info.first_fragment = upper.first_fragment;
  info.l4_offset = static_cast<std::uint16_t>(info.l3_offset + upper.offset);
  // We know no type of routing header, so that it is not for us to send the packet on (RFC 8200 4.4, RFC
  // 5095).
  if (upper.on_its_way) return damaged(info, Verdict::IPV6_EXTENSION_INVALID);
  return read_upper_layer(info, bytes);
}

struct Tags {
  Vlans vlans = 0;
  std::uint16_t ethertype = 0;
  std::size_t end = ethernet_bytes;
  Verdict fault = Verdict::undecided;
};

Tags read_tags(Bytes bytes) {
  Tags tags;
  tags.ethertype = load_be16(bytes, ethernet_bytes - 2);
  for (int count = 0; tags.ethertype == ethertype_vlan || tags.ethertype == ethertype_service; ++count) {
    if (count == most_vlan_tags) return tags.fault = Verdict::ETH_VLAN_UNKNOWN, tags;
    if (tags.end + vlan_tag_bytes > bytes.size()) return tags.fault = Verdict::ETH_RUNT, tags;
    const std::uint16_t id = load_be16(bytes, tags.end) & 0x0fff;
    if (id != 0) tags.vlans = tags.vlans << 16 | id;
    tags.ethertype = load_be16(bytes, tags.end + 2);
    tags.end += vlan_tag_bytes;
  }
  return tags;
}

// Untagged IPv4 without options or fragments, carrying ESP: nearly every frame of a busy gateway. True when
// that is what it is, whole and good, and `info` is complete; false says nothing, the general path finds out.
inline bool parse_common_esp(Bytes bytes, std::size_t frame_bytes, bool checksum_known_good,
                             FrameInfo& info) {
  constexpr std::size_t esp = ethernet_bytes + ipv4_header_bytes;
  if (bytes.size() < esp + esp_header_bytes) return false;
  const auto packet = bytes.subspan<ethernet_bytes, ipv4_header_bytes>();
  const std::uint16_t l3_bytes = load_be16(packet, ipv4::total_length);
  const std::uint8_t network = packet[ipv4::source];
  const unsigned difference = (load_be16(bytes, ethernet_bytes - 2) ^ unsigned{ethertype_ipv4}) |
                              (packet[0] ^ 0x45U) | (packet[ipv4::protocol] ^ unsigned{protocol_esp}) |
                              (load_be16(packet, ipv4::fragment) & 0x3fffU);
  if (difference != 0) return false;
  if (l3_bytes < ipv4_header_bytes + esp_header_bytes || ethernet_bytes + l3_bytes > frame_bytes)
    return false;
  if (static_cast<std::uint8_t>(network - 1) >= 223 || network == 127) return false;
  if (!checksum_known_good && header_sum(packet) != 0xffff) return false;
  info = {.kind = FrameKind::esp,
          .family = Family::v4,
          .l3_offset = ethernet_bytes,
          .protocol = protocol_esp,
          .link_group = (bytes[0] & 1) != 0,
          .l3_bytes = l3_bytes,
          .l4_offset = esp,
          .spi = load_be32(bytes, esp),
          .sequence = load_be32(bytes, esp + 4)};
  return true;
}

}  // namespace

void parse_frame(Bytes bytes, std::size_t frame_bytes, bool ipv4_checksum_known_good, Vlans port_vlans,
                 FrameInfo& info) {
  frame_bytes = std::min<std::size_t>(frame_bytes, 0xffff);
  bytes = bytes.first(std::min(bytes.size(), frame_bytes));
  if (port_vlans == 0 && parse_common_esp(bytes, frame_bytes, ipv4_checksum_known_good, info)) [[likely]]
    return;
  info = FrameInfo{};
  if (bytes.size() < ethernet_bytes) return invalid(info, Verdict::ETH_RUNT);
  info.link_group = (bytes[0] & 1) != 0;
  info.l3_offset = ethernet_bytes;
  if (load_be16(bytes, ethernet_bytes - 2) == ethertype_ipv4 && port_vlans == 0) [[likely]]
    return parse_ipv4(info, bytes, frame_bytes, ipv4_checksum_known_good);

  const Tags tags = read_tags(bytes);
  if (tags.fault != Verdict::undecided) return invalid(info, tags.fault);
  if (tags.vlans != port_vlans) return invalid(info, Verdict::ETH_VLAN_UNKNOWN);
  info.l3_offset = static_cast<std::uint8_t>(tags.end);
  if (tags.ethertype == ethertype_ipv4) return parse_ipv4(info, bytes, frame_bytes, ipv4_checksum_known_good);
  if (tags.ethertype == ethertype_ipv6) return parse_ipv6(info, bytes, frame_bytes);
  info.kind = FrameKind::not_ip;
  info.l4_offset = info.l3_offset;
  info.l3_bytes = static_cast<std::uint16_t>(frame_bytes - info.l3_offset);
}

}  // namespace espgate::parse
