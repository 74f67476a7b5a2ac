#include "datapath/parse/icmp_error.hpp"

#include <cstring>

#include "datapath/net/headers.hpp"
#include "datapath/parse/upper_layer.hpp"

namespace espgate::parse {
namespace {

using namespace net;

constexpr std::size_t icmp_bytes = 8, upper_bytes = 8;

// Unreachable, too big, time exceeded, parameter problem: something did not arrive (RFC 792, RFC 4443 2.1).
bool is_error(std::uint8_t type, Family family) {
  return family == Family::v4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

// Where the ICMP header begins; 0: the packet has none, or is a fragment.
std::size_t icmp_offset(std::span<const std::uint8_t> packet, Family family) {
  UpperLayer upper;
  if (!find_upper_layer(packet, family, upper) || upper.fragment) return 0;
  return upper.protocol == (family == Family::v4 ? protocol_icmp : protocol_icmpv6) ? upper.offset : 0;
}

std::size_t header_bytes(std::span<const std::uint8_t> quoted, Family family) {
  if (quoted.empty() || quoted[0] >> 4 != static_cast<std::uint8_t>(family)) return 0;
  if (family == Family::v6) return ipv6_header_bytes;
  const std::size_t bytes = quoted[0] % 16U * 4U;
  return bytes >= ipv4_header_bytes ? bytes : 0;
}

}  // namespace

std::span<const std::uint8_t> quoted_by_error(std::span<const std::uint8_t> packet, Family family) {
  const auto offset = icmp_offset(packet, family);
  if (offset == 0 || packet.size() < offset + icmp_bytes || !is_error(packet[offset], family)) return {};
  const auto quoted = packet.subspan(offset + icmp_bytes);
  const auto header = header_bytes(quoted, family);
  if (header == 0 || quoted.size() < header + upper_bytes) return {};
  // The packet came back to who had sent it, and to nobody else.
  const bool v4 = family == Family::v4;
  const auto* sender = &quoted[v4 ? ipv4::source : ipv6::source];
  const auto* receiver = &packet[v4 ? ipv4::destination : ipv6::destination];
  return std::memcmp(sender, receiver, v4 ? 4 : 16) == 0 ? quoted : std::span<const std::uint8_t>{};
}

}  // namespace espgate::parse
