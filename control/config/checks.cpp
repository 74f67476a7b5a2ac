#include "control/config/checks.hpp"

#include <fmt/format.h>

#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::string_view address_form = "write an address such as 192.0.2.1 or 2001:db8::1";
constexpr std::string_view prefix_form = "write a prefix such as 10.1.0.0/16 or 2001:db8:1::/48";

std::optional<net::Prefix> parse(const std::string& text, unsigned row, const std::string& path,
                                 Report& report) {
  if (auto prefix = net::parse_prefix(text)) return prefix;
  if (const auto with_host_bits = net::parse_interface_address(text)) {
    const auto meant = net::masked(with_host_bits->address, with_host_bits->prefix_length);
    report.error(row, path, fmt::format("{} has bits set behind the prefix length", shown(text)),
                 fmt::format("write \"{}\" for the network, or \"{}\" for the one host",
                             net::to_string(meant), net::to_string(with_host_bits->address)));
  } else {
    report.error(row, path, fmt::format("{} is not an IP prefix", shown(text)), std::string(prefix_form));
  }
  return std::nullopt;
}

constexpr std::string_view range_form = "write two addresses of one family, such as 10.1.0.5-10.1.0.20";

std::optional<net::AddressRange> range_of(const GroupReader& group, std::string_view key) {
  std::string text;
  if (!group.text(key, text)) return std::nullopt;
  if (text.find('-') == std::string::npos) {
    const auto prefix = parse(text, group.row_of(key), group.path_of(key), group.report());
    return prefix ? std::optional(net::AddressRange::of(*prefix)) : std::nullopt;
  }
  const auto range = net::parse_range(text);
  if (!range)
    group.error(key, fmt::format("{} is not a range of addresses, the lower one first", shown(text)),
                std::string(range_form));
  return range;
}

// False: what the file says is wrong, and reported.
bool read_protocol(const GroupReader& group, std::optional<std::uint8_t>& protocol) {
  std::string text;
  if (!group.text("protocol", text)) return !group.given("protocol");
  protocol = net::parse_protocol(text);
  if (!protocol)
    group.error("protocol", fmt::format("{} is not a protocol", shown(text)),
                "write a name such as tcp, udp, icmp, icmpv6 or gre, or a number from 0 to 255");
  return protocol.has_value();
}

bool read_ports(const GroupReader& group, std::string_view key, std::optional<std::uint8_t> protocol,
                net::PortRange& ports) {
  std::string text;
  if (!group.text(key, text)) return !group.given(key);
  if (!protocol || !net::has_ports(*protocol)) {
    group.error(key, "ports without a protocol that has them",
                "set protocol to tcp, udp, udp-lite, sctp or dccp, or remove the ports");
    return false;
  }
  const auto range = net::parse_ports(text);
  if (range)
    ports = *range;
  else
    group.error(key, fmt::format("{} is neither a port nor a range of ports", shown(text)),
                "write \"443\" or \"1024-65535\", the lower one first");
  return range.has_value();
}

bool read_icmp_types(const GroupReader& group, std::optional<std::uint8_t> protocol, net::PortRange& types) {
  std::string text;
  if (!group.text("icmp-type", text)) return !group.given("icmp-type");
  if (!protocol || !net::is_icmp(*protocol)) {
    group.error("icmp-type", "ICMP types of another protocol",
                "set protocol to icmp or icmpv6, or remove the types");
    return false;
  }
  const auto range = net::parse_icmp_types(text);
  if (range)
    types = *range;
  else
    group.error("icmp-type", fmt::format("{} is neither a type nor a range of types or codes", shown(text)),
                "write \"8\", \"3-5\", \"3/4\" or \"3/0-4\"");
  return range.has_value();
}

// The families that a selector can be of: those of its addresses and its protocol.
std::vector<net::Family> families_of(const GroupReader& group, const SelectorKeys& keys,
                                     const std::optional<net::AddressRange>& local,
                                     const std::optional<net::AddressRange>& remote,
                                     std::optional<std::uint8_t> protocol) {
  std::vector<net::Family> families{net::Family::v4, net::Family::v6};
  for (const auto* side : {&local, &remote})
    if (*side) std::erase_if(families, [&](auto family) { return family != (*side)->first.family; });
  if (families.empty()) {
    group.error(
        keys.remote,
        fmt::format("{} and {} are of different families", net::to_string(*local), net::to_string(*remote)),
        "pair IPv4 with IPv4, IPv6 with IPv6");
    return families;
  }
  constexpr std::uint8_t icmp = 1, icmpv6 = 58;
  if (protocol == icmp || protocol == icmpv6)
    std::erase(families, protocol == icmp ? net::Family::v6 : net::Family::v4);
  if (families.empty())
    group.error("protocol",
                protocol == icmp ? "icmp between IPv6 addresses" : "icmpv6 between IPv4 addresses",
                protocol == icmp ? "write icmpv6" : "write icmp");
  return families;
}

}  // namespace

std::string described(const Claim& claim, const Report& report, unsigned row) {
  return fmt::format("{} in {}", claim.owner.text(), report.places().seen_from(row, claim.row));
}

std::optional<net::Address> address_of(const GroupReader& group, std::string_view key) {
  std::string text;
  if (!group.text(key, text)) return std::nullopt;
  const auto address = net::parse_address(text);
  if (!address) {
    group.error(
        key, fmt::format("{} is not an IP address", shown(text)),
        text.find('/') != std::string::npos ? "leave out the prefix length" : std::string(address_form));
    return std::nullopt;
  }
  if (const auto why = not_a_host(*address); !why.empty()) {
    group.error(key, fmt::format("{} is {}", text, why), "write the address of a host");
    return std::nullopt;
  }
  return address;
}

std::optional<net::Prefix> prefix_of(const GroupReader& group, std::string_view key) {
  std::string text;
  if (!group.text(key, text)) return std::nullopt;
  return parse(text, group.row_of(key), group.path_of(key), group.report());
}

std::optional<net::Prefix> prefix_of(const GroupReader& group, const TextElement& element) {
  return parse(element.text, element.row, element.path.text(), group.report());
}

std::optional<net::InterfaceAddress> interface_address_of(const GroupReader& group,
                                                          const TextElement& element, Checks& checks) {
  const auto complain = [&](std::string message, std::string remedy) {
    group.report().error(element.row, element.path.text(), std::move(message), std::move(remedy));
    return std::nullopt;
  };
  const auto parsed = net::parse_interface_address(element.text);
  if (!parsed)
    return complain(fmt::format("{} is not an address with prefix length", shown(element.text)),
                    "write it such as \"192.0.2.1/24\" or \"2001:db8::1/64\"");
  const auto& [address, length] = *parsed;
  if (const auto why = not_a_host(address); !why.empty())
    return complain(fmt::format("{} is {}", element.text, why), "write the address of this host");
  if (address.family == net::Family::v4 && length < 31) {
    const std::uint32_t host_bits = length == 0 ? 0xffff'ffff : (std::uint32_t{1} << (32 - length)) - 1;
    const auto host = address.v4_value() & host_bits;
    if (host == 0 || host == host_bits)
      return complain(fmt::format("{} is the {} address of its network", element.text,
                                  host == 0 ? "first (network)" : "last (broadcast)"),
                      "write the address of this host, with the length of its network");
  }
  if (const auto* first = checks.port_addresses.claim(address, element.row, element.path))
    return complain(fmt::format("{} is already {}", net::to_string(address),
                                described(*first, group.report(), element.row)),
                    "give each address to one interface");
  if (element.text.find('/') == std::string::npos)
    group.report().warning(
        element.row, element.path.text(),
        fmt::format("{} has no prefix length, so no network is reached through it", element.text),
        fmt::format("write \"{}/{}\" if that is meant, else the length of the network", element.text,
                    address.bits()));
  return *parsed;
}

std::vector<net::TrafficSelector> selectors_of(const GroupReader& group, const SelectorKeys& keys) {
  std::vector<net::TrafficSelector> result;
  const auto local = range_of(group, keys.local);
  const auto remote = range_of(group, keys.remote);
  net::TrafficSelector selector;
  bool good = (local || !group.given(keys.local)) && (remote || !group.given(keys.remote));
  good = read_protocol(group, selector.protocol) && good;
  good = read_ports(group, keys.local_port, selector.protocol, selector.local_ports) && good;
  good = read_ports(group, keys.remote_port, selector.protocol, selector.remote_ports) && good;
  good = read_icmp_types(group, selector.protocol, selector.local_ports) && good;
  if (!good) return result;
  for (const auto family : families_of(group, keys, local, remote, selector.protocol)) {
    selector.local = local.value_or(net::AddressRange::everything(family));
    selector.remote = remote.value_or(net::AddressRange::everything(family));
    result.push_back(selector);
  }
  return result;
}

std::string not_a_host(const net::Address& address) {
  if (address.is_unspecified()) return "the unspecified address";
  if (address.family == net::Family::v6) return address.bytes[0] == 0xff ? "a multicast address" : "";
  if (address.v4_value() == 0xffff'ffff) return "the broadcast address";
  if (address.v4_value() >> 28 == 0xe) return "a multicast address";
  return "";
}

}  // namespace espgate::config
