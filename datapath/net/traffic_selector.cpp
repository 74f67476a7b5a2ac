#include "datapath/net/traffic_selector.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>

namespace espgate::net {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 17> protocols{{{"icmp", 1},
                                                                               {"igmp", 2},
                                                                               {"ipip", 4},
                                                                               {"tcp", 6},
                                                                               {"udp", 17},
                                                                               {"dccp", 33},
                                                                               {"ipv6", 41},
                                                                               {"rsvp", 46},
                                                                               {"gre", 47},
                                                                               {"esp", 50},
                                                                               {"ah", 51},
                                                                               {"icmpv6", 58},
                                                                               {"ospf", 89},
                                                                               {"pim", 103},
                                                                               {"vrrp", 112},
                                                                               {"sctp", 132},
                                                                               {"udp-lite", 136}}};

std::optional<std::uint16_t> parse_number(std::string_view text, unsigned most) {
  unsigned value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

// "N" or "N-M" with N <= M.
std::optional<PortRange> parse_span(std::string_view text, unsigned most) {
  const auto dash = text.find('-');
  const auto first = parse_number(text.substr(0, dash), most);
  const auto last = dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), most);
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::string span_text(unsigned first, unsigned last) {
  auto text = std::to_string(first);
  if (first != last) text.append("-").append(std::to_string(last));
  return text;
}

std::uint8_t common_bits(const Address& a, const Address& b) {
  unsigned bits = 0;
  for (std::size_t i = 0; i < a.bytes.size() && bits == 8 * i; ++i)
    bits += static_cast<unsigned>(std::countl_zero(static_cast<std::uint8_t>(a.bytes[i] ^ b.bytes[i])));
  return static_cast<std::uint8_t>(std::min(bits, static_cast<unsigned>(a.bits())));
}

std::string side_text(const AddressRange& addresses, const PortRange& ports) {
  auto text = to_string(addresses);
  if (!ports.is_everything()) text.append(" port ").append(port_text(ports));
  return text;
}

}  // namespace

AddressRange AddressRange::of(const Prefix& prefix) {
  AddressRange range{prefix.address, prefix.address};
  for (int bit = prefix.length; bit < range.last.bits(); bit += 8 - bit % 8)
    range.last.bytes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0xff >> (bit % 8));
  return range;
}

bool AddressRange::contains(const Address& address) const {
  return address.family == first.family && first <= address && address <= last;
}

bool AddressRange::contains(const AddressRange& other) const {
  return contains(other.first) && contains(other.last);
}

Prefix AddressRange::cover() const {
  return masked(first, common_bits(first, last));
}

bool AddressRange::is_prefix() const {
  return of(cover()) == *this;
}

bool TrafficSelector::contains(const TrafficSelector& other) const {
  return local.contains(other.local) && remote.contains(other.remote) &&
         (!protocol || protocol == other.protocol) && local_ports.contains(other.local_ports) &&
         remote_ports.contains(other.remote_ports);
}

TrafficSelector between(const Prefix& local, const Prefix& remote) {
  return {AddressRange::of(local), AddressRange::of(remote), std::nullopt, {}, {}};
}

std::optional<AddressRange> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto prefix = parse_prefix(text);
    return prefix ? std::optional(AddressRange::of(*prefix)) : std::nullopt;
  }
  const auto first = parse_address(text.substr(0, dash));
  const auto last = parse_address(text.substr(dash + 1));
  if (!first || !last || first->family != last->family || *first > *last) return std::nullopt;
  return AddressRange{*first, *last};
}

std::optional<PortRange> parse_ports(std::string_view text) {
  return parse_span(text, 0xffff);
}

std::optional<PortRange> parse_icmp_types(std::string_view text) {
  const auto slash = text.find('/');
  const auto types = parse_span(text.substr(0, slash), 0xff);
  const auto codes = slash == std::string_view::npos ? std::optional(PortRange{0, 0xff})
                                                     : parse_span(text.substr(slash + 1), 0xff);
  if (!types || !codes) return std::nullopt;
  // Codes mean something for one type only.
  if (slash != std::string_view::npos && !types->is_single()) return std::nullopt;
  return PortRange{static_cast<std::uint16_t>(types->first << 8 | codes->first),
                   static_cast<std::uint16_t>(types->last << 8 | codes->last)};
}

std::optional<std::uint8_t> parse_protocol(std::string_view text) {
  const auto* named = std::ranges::find(protocols, text, &std::pair<std::string_view, std::uint8_t>::first);
  if (named != protocols.end()) return named->second;
  const auto number = parse_number(text, 0xff);
  return number ? std::optional(static_cast<std::uint8_t>(*number)) : std::nullopt;
}

std::string to_string(const AddressRange& range) {
  if (range.is_prefix()) return to_string(range.cover());
  return to_string(range.first) + "-" + to_string(range.last);
}

std::string protocol_name(std::uint8_t protocol) {
  const auto* named =
      std::ranges::find(protocols, protocol, &std::pair<std::string_view, std::uint8_t>::second);
  return named != protocols.end() ? std::string(named->first) : std::to_string(protocol);
}

std::string port_text(const PortRange& ports) {
  return span_text(ports.first, ports.last);
}

std::string icmp_text(const PortRange& types) {
  const unsigned first = types.first >> 8, last = types.last >> 8;
  const unsigned first_code = types.first & 0xff, last_code = types.last & 0xff;
  const bool all_codes = first_code == 0 && last_code == 0xff;
  auto text = span_text(first, last);
  if (!all_codes) text.append("/").append(span_text(first_code, last_code));
  return text;
}

std::string to_string(const TrafficSelector& selector) {
  const bool icmp = selector.protocol && is_icmp(*selector.protocol);
  auto text = side_text(selector.local, icmp ? PortRange{} : selector.local_ports);
  text.append(" > ").append(side_text(selector.remote, selector.remote_ports));
  if (selector.protocol) text.append(", ").append(protocol_name(*selector.protocol));
  if (icmp && !selector.local_ports.is_everything())
    text.append(" type ").append(icmp_text(selector.local_ports));
  return text;
}

}  // namespace espgate::net

std::size_t std::hash<espgate::net::TrafficSelector>::operator()(
    const espgate::net::TrafficSelector& s) const noexcept {
  constexpr std::size_t factor = 0x9e37'79b9'7f4a'7c15;
  const std::hash<espgate::net::Address> address;
  std::size_t result = 0;
  for (const auto part :
       {address(s.local.first), address(s.local.last), address(s.remote.first), address(s.remote.last),
        std::size_t{s.protocol ? *s.protocol : 256U}, std::size_t{s.local_ports.first},
        std::size_t{s.local_ports.last}, std::size_t{s.remote_ports.first}, std::size_t{s.remote_ports.last}})
    result = (result ^ part) * factor + (result >> 32);
  return result;
}
