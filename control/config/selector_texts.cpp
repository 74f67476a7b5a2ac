#include "control/config/selector_texts.hpp"

#include <fmt/format.h>

#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::string_view prefix_form = "write a prefix such as 10.1.0.0/16 or 2001:db8:1::/48";
constexpr std::string_view range_form = "write two addresses of one family, such as 10.1.0.5-10.1.0.20";

std::optional<net::AddressRange> read_range(const std::optional<std::string>& text, std::string_view key,
                                            const Complain& complain) {
  if (!text) return std::nullopt;
  if (text->find('-') == std::string::npos) {
    const auto prefix = read_prefix(*text, key, complain);
    return prefix ? std::optional(net::AddressRange::of(*prefix)) : std::nullopt;
  }
  const auto range = net::parse_range(*text);
  if (!range)
    complain(key, fmt::format("{} is not a range of addresses, the lower one first", shown(*text)),
             std::string(range_form));
  return range;
}

// Each of the next three: false when something is wrong, which was told.
bool read_protocol(const std::optional<std::string>& text, std::string_view key, const Complain& complain,
                   std::optional<std::uint8_t>& protocol) {
  if (!text) return true;
  protocol = net::parse_protocol(*text);
  if (!protocol)
    complain(key, fmt::format("{} is not a protocol", shown(*text)),
             "write a name such as tcp, udp, icmp, icmpv6 or gre, or a number from 0 to 255");
  return protocol.has_value();
}

bool read_ports(const std::optional<std::string>& text, std::string_view key, const Complain& complain,
                std::optional<std::uint8_t> protocol, net::PortRange& ports) {
  if (!text) return true;
  if (!protocol || !net::has_ports(*protocol)) {
    complain(key, "ports without a protocol that has them",
             "set protocol to tcp, udp, udp-lite, sctp or dccp, or remove the ports");
    return false;
  }
  const auto range = net::parse_ports(*text);
  if (range)
    ports = *range;
  else
    complain(key, fmt::format("{} is neither a port nor a range of ports", shown(*text)),
             "write \"443\" or \"1024-65535\", the lower one first");
  return range.has_value();
}

bool read_icmp_types(const std::optional<std::string>& text, std::string_view key, const Complain& complain,
                     std::optional<std::uint8_t> protocol, net::PortRange& types) {
  if (!text) return true;
  if (!protocol || !net::is_icmp(*protocol)) {
    complain(key, "ICMP types of another protocol", "set protocol to icmp or icmpv6, or remove the types");
    return false;
  }
  const auto range = net::parse_icmp_types(*text);
  if (range)
    types = *range;
  else
    complain(key, fmt::format("{} is neither a type nor a range of types or codes", shown(*text)),
             "write \"8\", \"3-5\", \"3/4\" or \"3/0-4\"");
  return range.has_value();
}

// The families that a selector can be of: those of its addresses and its protocol.
std::vector<net::Family> families_of(const SelectorKeys& keys, const Complain& complain,
                                     const std::optional<net::AddressRange>& local,
                                     const std::optional<net::AddressRange>& remote,
                                     std::optional<std::uint8_t> protocol) {
  std::vector<net::Family> families{net::Family::v4, net::Family::v6};
  for (const auto* side : {&local, &remote})
    if (*side) std::erase_if(families, [&](auto family) { return family != (*side)->first.family; });
  if (families.empty()) {
    complain(
        keys.remote,
        fmt::format("{} and {} are of different families", net::to_string(*local), net::to_string(*remote)),
        "pair IPv4 with IPv4, IPv6 with IPv6");
    return families;
  }
  constexpr std::uint8_t icmp = 1, icmpv6 = 58;
  if (protocol == icmp || protocol == icmpv6)
    std::erase(families, protocol == icmp ? net::Family::v6 : net::Family::v4);
  if (families.empty())
    complain(keys.protocol,
             protocol == icmp ? "icmp between IPv6 addresses" : "icmpv6 between IPv4 addresses",
             protocol == icmp ? "write icmpv6" : "write icmp");
  return families;
}

}  // namespace

std::optional<net::Prefix> read_prefix(const std::string& text, std::string_view key,
                                       const Complain& complain) {
  if (auto prefix = net::parse_prefix(text)) return prefix;
  if (const auto with_host_bits = net::parse_interface_address(text)) {
    const auto meant = net::masked(with_host_bits->address, with_host_bits->prefix_length);
    complain(key, fmt::format("{} has bits set behind the prefix length", shown(text)),
             fmt::format("write \"{}\" for the network, or \"{}\" for the one host", net::to_string(meant),
                         net::to_string(with_host_bits->address)));
  } else {
    complain(key, fmt::format("{} is not an IP prefix", shown(text)), std::string(prefix_form));
  }
  return std::nullopt;
}

std::vector<net::TrafficSelector> read_selectors(const SelectorTexts& texts, const SelectorKeys& keys,
                                                 const Complain& complain) {
  std::vector<net::TrafficSelector> result;
  const auto local = read_range(texts.local, keys.local, complain);
  const auto remote = read_range(texts.remote, keys.remote, complain);
  net::TrafficSelector selector;
  bool good = (local || !texts.local) && (remote || !texts.remote);
  good = read_protocol(texts.protocol, keys.protocol, complain, selector.protocol) && good;
  const auto protocol = selector.protocol;
  good = read_ports(texts.local_port, keys.local_port, complain, protocol, selector.local_ports) && good;
  good = read_ports(texts.remote_port, keys.remote_port, complain, protocol, selector.remote_ports) && good;
  good = read_icmp_types(texts.icmp_type, keys.icmp_type, complain, protocol, selector.local_ports) && good;
  if (!good) return result;
  for (const auto family : families_of(keys, complain, local, remote, protocol)) {
    selector.local = local.value_or(net::AddressRange::everything(family));
    selector.remote = remote.value_or(net::AddressRange::everything(family));
    result.push_back(selector);
  }
  return result;
}

}  // namespace espgate::config
