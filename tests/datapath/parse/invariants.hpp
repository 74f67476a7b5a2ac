// What holds for every answer of the parser, whatever the frame. Used by the unit tests and the fuzz target.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "datapath/net/headers.hpp"
#include "datapath/parse/frame.hpp"

namespace espgate::testing {

// Empty, or which rule `info` breaks. `bytes` and `frame_bytes` are what the parser was given.
inline std::string broken_invariant(const parse::FrameInfo& info, std::span<const std::uint8_t> bytes,
                                    std::size_t frame_bytes) {
  using parse::FrameKind;
  if (info.kind > FrameKind::invalid) return "kind is none of the enum's";
  const bool at_fault = info.kind == FrameKind::invalid || info.kind == FrameKind::damaged;
  if (at_fault != (info.reason != Verdict::undecided)) return "reason without cause";
  if (at_fault && row(info.reason).outcome != Outcome::drop) return "reason is not a drop";
  if (info.first_fragment && !info.fragment) return "first of no fragments";
  if (info.kind == FrameKind::invalid) return "";

  const std::size_t end = info.l3_offset + std::size_t{info.l3_bytes};
  if (info.l3_offset < net::ethernet_bytes || info.l3_offset > 22) return "IP header at an impossible offset";
  if (info.l3_offset > bytes.size()) return "IP header behind the contiguous part";
  if (end > frame_bytes) return "packet longer than the frame";
  if (info.l4_offset < info.l3_offset || info.l4_offset > end) return "upper layer outside the packet";
  if (info.l4_offset > bytes.size()) return "upper layer behind the contiguous part";
  if (info.kind == FrameKind::not_ip)
    return info.protocol == 0 && !info.fragment ? "" : "IP fields without IP";

  const std::size_t least = info.family == net::Family::v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  if (bytes[info.l3_offset] >> 4 != static_cast<int>(info.family)) return "family is not the version's";
  if (info.l4_offset < info.l3_offset + least) return "upper layer inside the IP header";

  if (info.kind == FrameKind::damaged && info.reason != Verdict::IPV6_EXTENSION_INVALID)
    return info.protocol == net::protocol_esp || info.protocol == net::protocol_udp ? ""
                                                                                    : "no header to damage";
  const bool is_udp = info.kind == FrameKind::esp_in_udp || info.kind == FrameKind::ike ||
                      info.kind == FrameKind::nat_keepalive;
  if (is_udp != (info.destination_port != 0)) return "ports without UDP, or UDP without ports";
  if (is_udp && (info.protocol != net::protocol_udp || info.fragment)) return "UDP kind of something else";
  if (is_udp && info.destination_port != 500 && info.destination_port != 4500)
    return "UDP kind on another port";
  if (info.kind == FrameKind::esp && info.protocol != net::protocol_esp) return "ESP of another protocol";
  if (info.kind == FrameKind::ip && info.protocol == net::protocol_esp) return "ESP taken for something else";

  const bool has_spi = info.kind == FrameKind::esp_in_udp ||
                       (info.kind == FrameKind::esp && (!info.fragment || info.first_fragment));
  if (!has_spi) return info.spi == 0 && info.sequence == 0 ? "" : "SPI without ESP header";
  const std::size_t esp = info.l4_offset + (is_udp ? net::udp_header_bytes : 0);
  if (esp + net::esp_header_bytes > std::min(end, bytes.size())) return "ESP header outside the packet";
  if (net::load_be32(bytes, esp) != info.spi) return "not the SPI";
  if (is_udp && info.spi == 0) return "SPI 0 on UDP 4500 is IKE";
  return "";
}

// The parser has a short cut for untagged frames. A priority tag (VLAN 0) means nothing and avoids the short
// cut, so the answer for the frame with one more tag must be the same but for the offsets. Empty, or what is
// not the same.
inline std::string tag_changes(parse::FrameInfo info, std::span<const std::uint8_t> frame,
                               bool checksum_good) {
  const auto is_tag = [](unsigned type) {
    return type == net::ethertype_vlan || type == net::ethertype_service;
  };
  if (frame.size() < net::ethernet_bytes || is_tag(net::load_be16(frame, 12))) return "";
  std::vector<std::uint8_t> tagged(frame.begin(), frame.begin() + 12);
  tagged.insert(tagged.end(), {0x81, 0, 0xe0, 0});
  tagged.insert(tagged.end(), frame.begin() + 12, frame.end());
  if (tagged.size() > 0xffff) return "";
  const auto other = parse::parse_frame(tagged, tagged.size(), checksum_good, 0);
  if (other.kind != info.kind || other.reason != info.reason) return "kind or reason";
  if (info.kind == parse::FrameKind::invalid) return "";
  info.l3_offset = static_cast<std::uint8_t>(info.l3_offset + net::vlan_tag_bytes);
  info.l4_offset = static_cast<std::uint16_t>(info.l4_offset + net::vlan_tag_bytes);
  return info == other ? "" : "a field";
}

}  // namespace espgate::testing
