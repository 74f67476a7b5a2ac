#include "control/sizes/icmp_error.hpp"

#include <algorithm>

#include "datapath/net/headers.hpp"
#include "datapath/parse/upper_layer.hpp"

namespace espgate::sizes {
namespace {

using namespace net;

constexpr std::size_t icmp_bytes = 8;
constexpr std::size_t ipv4_quote_bytes = 576 - ipv4_header_bytes - icmp_bytes;             // RFC 1812 4.3.2.3
constexpr std::size_t ipv6_quote_bytes = ipv6_least_mtu - ipv6_header_bytes - icmp_bytes;  // RFC 4443 2.4 c
constexpr std::uint8_t hops = 64;

bool is_icmp_error(Family family, std::uint8_t type) {
  if (family == Family::v6) return type < 128;
  constexpr std::uint8_t errors[] = {3, 4, 5, 11, 12};
  return std::ranges::find(errors, type) != std::end(errors);
}

bool is_one_station(Family family, std::span<const std::uint8_t> address) {
  if (std::ranges::all_of(address, [](std::uint8_t byte) { return byte == 0; })) return false;
  return family == Family::v4 ? address[0] < 224 && address[0] != 127 : address[0] != 0xff;
}

bool may_be_told(std::span<const std::uint8_t> packet, Family family) {
  const std::size_t header_bytes = family == Family::v4 ? ipv4_header_bytes : ipv6_header_bytes;
  if (packet.size() < header_bytes || (family == Family::v4 && packet[0] % 16U * 4U > packet.size()))
    return false;
  const bool v4 = family == Family::v4;
  const std::size_t address_bytes = v4 ? 4 : 16;
  if (!is_one_station(family, packet.subspan(v4 ? ipv4::source : ipv6::source, address_bytes)) ||
      !is_one_station(family, packet.subspan(v4 ? ipv4::destination : ipv6::destination, address_bytes)))
    return false;
  parse::UpperLayer upper;
  if (!parse::find_upper_layer(packet, family, upper) || (upper.fragment && !upper.first_fragment))
    return false;
  if (upper.protocol != (v4 ? protocol_icmp : protocol_icmpv6)) return true;
  return upper.offset < packet.size() && !is_icmp_error(family, packet[upper.offset]);
}

struct TypeAndCode {
  std::uint8_t type;
  std::uint8_t code;
};

TypeAndCode type_and_code(Family family, Refusal::Why why) {
  const bool v4 = family == Family::v4;
  switch (why) {
    case Refusal::Why::too_big:
      return v4 ? TypeAndCode{3, 4} : TypeAndCode{2, 0};
    case Refusal::Why::hop_limit:
      return v4 ? TypeAndCode{11, 0} : TypeAndCode{3, 0};
    case Refusal::Why::no_route:
      break;
  }
  return v4 ? TypeAndCode{3, 0} : TypeAndCode{1, 0};
}

}  // namespace

std::optional<std::vector<std::uint8_t>> icmp_error(std::span<const std::uint8_t> refused, Refusal refusal,
                                                    const Address& speaker) {
  const auto family = speaker.family;
  if (refused.empty() || refused[0] >> 4 != static_cast<int>(family) || !may_be_told(refused, family))
    return std::nullopt;
  const bool v4 = family == Family::v4;
  const std::size_t header_bytes = v4 ? ipv4_header_bytes : ipv6_header_bytes;
  const std::size_t address_bytes = v4 ? 4 : 16;
  const auto quote = refused.first(std::min(refused.size(), v4 ? ipv4_quote_bytes : ipv6_quote_bytes));
  std::vector<std::uint8_t> packet(header_bytes + icmp_bytes + quote.size());
  const std::span all(packet);
  const auto message = all.subspan(header_bytes);
  std::ranges::copy(quote, message.subspan(icmp_bytes).begin());
  const auto sender = refused.subspan(v4 ? ipv4::source : ipv6::source, address_bytes);
  std::copy_n(speaker.bytes.begin(), address_bytes,
              all.subspan(v4 ? ipv4::source : ipv6::source, address_bytes).begin());
  std::ranges::copy(sender, all.subspan(v4 ? ipv4::destination : ipv6::destination).begin());
  const auto [type, code] = type_and_code(family, refusal.why);
  message[0] = type;
  message[1] = code;
  store_be16(message, 6, refusal.largest);  // 0 but for "too big", as RFC 792 and 4443 have it
  if (v4) {
    // Both sums go over whole words; padding an odd one with a zero byte changes nothing (RFC 1071).
    std::vector<std::uint8_t> words(message.begin(), message.end());
    words.resize((words.size() + 3) / 4 * 4);
    store_be16(message, 2, header_checksum(words));
    packet[0] = 0x45;
    packet[ipv4::tos] = 0xc0;  // internetwork control (RFC 1812 4.3.2.5)
    store_be16(all, ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
    packet[ipv4::fragment] = 0x40;
    packet[ipv4::ttl] = hops;
    packet[ipv4::protocol] = 1;
    store_be16(all, ipv4::checksum, header_checksum(all.first(ipv4_header_bytes)));
  } else {
    packet[0] = 0x60;
    store_be16(all, ipv6::payload_length, static_cast<std::uint16_t>(message.size()));
    packet[ipv6::next_header] = protocol_icmpv6;
    packet[ipv6::hop_limit] = hops;
    store_be16(message, 2, upper_checksum(all.subspan(ipv6::source, 32), protocol_icmpv6, message));
  }
  return packet;
}

}  // namespace espgate::sizes
