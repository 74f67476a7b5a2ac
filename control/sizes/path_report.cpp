#include "control/sizes/path_report.hpp"

#include <algorithm>

#include "datapath/net/headers.hpp"

namespace espgate::sizes {

using namespace net;

std::optional<PathReport> read_path_report(std::span<const std::uint8_t> packet) {
  constexpr std::size_t icmp_bytes = 8;
  if (packet.size() < ipv4_header_bytes) return std::nullopt;
  const bool v4 = packet[0] >> 4 == 4;
  const Family family = v4 ? Family::v4 : Family::v6;
  const std::size_t header_bytes = v4 ? packet[0] % 16U * 4U : ipv6_header_bytes;
  const std::size_t quoted_header_bytes = v4 ? ipv4_header_bytes : ipv6_header_bytes;
  if (packet[v4 ? ipv4::protocol : ipv6::next_header] != (v4 ? 1 : protocol_icmpv6)) return std::nullopt;
  if (packet.size() < header_bytes + icmp_bytes + quoted_header_bytes) return std::nullopt;
  const auto message = packet.subspan(header_bytes);
  PathReport report;
  if (v4) {
    if (message[0] != 3 || message[1] != 4) return std::nullopt;
    report.mtu = load_be16(message, 6);
  } else {
    if (message[0] != 2 || message[1] != 0) return std::nullopt;
    report.mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(load_be32(message, 4), 0xffff));
  }
  // What we send has no options or extension headers, but for a fragment header.
  const auto quoted = message.subspan(icmp_bytes);
  if (quoted[0] >> 4 != static_cast<int>(family)) return std::nullopt;
  if (v4 && load_be16(quoted, ipv4::fragment) % 0x2000 != 0) return std::nullopt;
  std::size_t at = v4 ? quoted[0] % 16U * 4U : ipv6_header_bytes;
  std::uint8_t protocol = quoted[v4 ? ipv4::protocol : ipv6::next_header];
  if (protocol == protocol_fragment && !v4 && at + 8 <= quoted.size() && load_be16(quoted, at + 2) < 8) {
    protocol = quoted[at];
    at += 8;
  }
  if (protocol == protocol_udp && at + udp_header_bytes <= quoted.size() &&
      load_be16(quoted, at) == natt_port)
    at += udp_header_bytes;
  else if (protocol != protocol_esp)
    return std::nullopt;
  if (at + esp_header_bytes > quoted.size()) return std::nullopt;
  report.local = Address::from_bytes(family, &quoted[v4 ? ipv4::source : ipv6::source]);
  report.remote = Address::from_bytes(family, &quoted[v4 ? ipv4::destination : ipv6::destination]);
  report.spi = load_be32(quoted, at);
  report.sequence = load_be32(quoted, at + 4);
  return report;
}

}  // namespace espgate::sizes
