// What a received frame is: one pass over Ethernet, VLAN tags, IP, extension headers and UDP, up to where
// ESP, IKE or the upper layer starts. Pure: no state, no port, no packet buffer; nothing beyond the frame is
// known, so whether an address is ours is for the caller to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/net/address.hpp"
#include "datapath/net/vlan.hpp"
#include "datapath/verdict/verdict.hpp"

namespace espgate::parse {

enum class FrameKind : std::uint8_t {
  esp,            // IP protocol 50; `spi` and `sequence` are set unless it is a later fragment
  esp_in_udp,     // UDP to port 4500, not IKE (RFC 3948 2.1); `spi` and `sequence` are set
  ike,            // UDP to port 500, or to 4500 behind the non-ESP marker (RFC 3948 2.2)
  nat_keepalive,  // UDP to port 4500, one byte 0xff (RFC 3948 2.3)
  ip,             // any other IP packet, fragments of UDP included
  damaged,        // an IP packet whose ESP or UDP header is cut off or contradicts itself: `reason`
  not_ip,         // ARP, LLDP, ...: the kernel's
  invalid,        // `reason` says why
};

// The UDP kinds and `damaged` say what the packet is if its destination is ours. In transit it is a packet
// like any other.
struct FrameInfo {
  FrameKind kind = FrameKind::invalid;
  net::Family family = net::Family::v4;  // of the outer header
  std::uint8_t l3_offset = 0;            // frame start to IP header (or to what follows the EtherType), bytes
  std::uint8_t protocol = 0;    // behind the extension headers; of a later fragment, of its first header
  bool link_group = false;      // sent to a multicast or broadcast MAC address: not to be forwarded
  bool fragment = false;        // part of a datagram; an IPv6 atomic fragment (RFC 6946) is not
  bool first_fragment = false;  // the part with the upper-layer header
  Verdict reason = Verdict::undecided;  // a drop, when invalid or damaged
  std::uint16_t l3_bytes = 0;           // IP packet by its own length field, so without Ethernet padding
  std::uint16_t l4_offset = 0;          // frame start to ESP header, UDP header or upper layer
  std::uint16_t source_port = 0;        // of the UDP kinds only
  std::uint16_t destination_port = 0;
  std::uint32_t spi = 0;
  std::uint32_t sequence = 0;

  bool operator==(const FrameInfo&) const = default;
};

using net::Vlans;

// `bytes` is the frame's contiguous start, `frame_bytes` its whole length (more than bytes.size() if it
// continues in another buffer, at most 65,535 count). Headers must lie in `bytes`.
// `ipv4_checksum_known_good`: the port checked it. `port_vlans`: frames with other tags are invalid; if the
// port strips tags, the caller compares what was stripped and passes what should be left.
// Every field of `info` is overwritten.
void parse_frame(std::span<const std::uint8_t> bytes, std::size_t frame_bytes, bool ipv4_checksum_known_good,
                 Vlans port_vlans, FrameInfo& info);

// The same as a value; workers fill the burst's array in place with the form above.
inline FrameInfo parse_frame(std::span<const std::uint8_t> bytes, std::size_t frame_bytes,
                             bool ipv4_checksum_known_good, Vlans port_vlans) {
  FrameInfo info;
  parse_frame(bytes, frame_bytes, ipv4_checksum_known_good, port_vlans, info);
  return info;
}

}  // namespace espgate::parse
