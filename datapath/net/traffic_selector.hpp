// What traffic a policy or an SA is about (RFC 4301 4.4.1.1), as values: ranges of addresses and ports, a
// protocol. Read from text, compared, printed. No I/O.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/net/address.hpp"

namespace espgate::net {

// All addresses from `first` to `last`, both included and of one family; first <= last.
struct AddressRange {
  Address first;
  Address last;

  static AddressRange of(const Prefix& prefix);
  static AddressRange everything(Family family) { return of({{{}, family}, 0}); }
  bool contains(const Address& address) const;
  bool contains(const AddressRange& other) const;
  // The shortest prefix that all of it lies under: the range itself when that is a prefix.
  Prefix cover() const;
  bool is_prefix() const;
  auto operator<=>(const AddressRange&) const = default;
};

// Ports, or types and codes of ICMP as type * 256 + code (as IKE has them, RFC 7296 3.13.1).
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0xffff;

  bool is_everything() const { return first == 0 && last == 0xffff; }
  bool is_single() const { return first == last; }
  bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  bool contains(const PortRange& other) const { return other.first >= first && other.last <= last; }
  auto operator<=>(const PortRange&) const = default;
};

// Local is our side: the source of what goes out, the destination of what comes in. Both sides are of one
// family. Ports are only narrowed together with a protocol that has them. ICMP, which has one field instead
// of two, has it in `local_ports`, and `remote_ports` is everything.
struct TrafficSelector {
  AddressRange local;
  AddressRange remote;
  std::optional<std::uint8_t> protocol;  // none: any
  PortRange local_ports;
  PortRange remote_ports;

  Family family() const { return local.first.family; }
  bool needs_ports() const { return !local_ports.is_everything() || !remote_ports.is_everything(); }
  // Whether it takes every packet that `other` takes.
  bool contains(const TrafficSelector& other) const;
  auto operator<=>(const TrafficSelector&) const = default;
};

TrafficSelector between(const Prefix& local, const Prefix& remote);

// "10.1.0.0/16", "10.1.0.7" or "10.1.0.7-10.1.0.20". Host bits behind a prefix length are an error.
std::optional<AddressRange> parse_range(std::string_view text);
// "443" or "1024-65535".
std::optional<PortRange> parse_ports(std::string_view text);
// "8", "8/0", "3/0-4" (a type's codes) or "3-5" (types with all their codes), as a PortRange.
std::optional<PortRange> parse_icmp_types(std::string_view text);
// "tcp", "icmpv6" or a number from 0 to 255.
std::optional<std::uint8_t> parse_protocol(std::string_view text);

// A prefix where it is one.
std::string to_string(const AddressRange& range);
std::string protocol_name(std::uint8_t protocol);  // its number when it has no name here
std::string port_text(const PortRange& ports);
std::string icmp_text(const PortRange& types);
// "10.1.0.0/24 > 10.2.0.0/16", "10.1.0.0/24 port 1024-65535 > 10.2.0.0/16 port 443, tcp"
std::string to_string(const TrafficSelector& selector);

constexpr bool has_ports(std::uint8_t protocol) {
  constexpr std::uint8_t tcp = 6, udp = 17, dccp = 33, sctp = 132, udp_lite = 136;
  return protocol == tcp || protocol == udp || protocol == dccp || protocol == sctp || protocol == udp_lite;
}
constexpr bool is_icmp(std::uint8_t protocol) {
  constexpr std::uint8_t icmp = 1, icmpv6 = 58;
  return protocol == icmp || protocol == icmpv6;
}

}  // namespace espgate::net

template <>
struct std::hash<espgate::net::TrafficSelector> {
  std::size_t operator()(const espgate::net::TrafficSelector& s) const noexcept;
};
