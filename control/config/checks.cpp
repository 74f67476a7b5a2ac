#include "control/config/checks.hpp"

#include <fmt/format.h>

#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::string_view address_form = "write an address such as 192.0.2.1 or 2001:db8::1";

// One value is read, and what is wrong with it goes to the report.
std::optional<net::Prefix> parse(const std::string& text, unsigned row, const std::string& path,
                                 Report& report) {
  return read_prefix(text, path, [&](std::string_view, std::string message, std::string remedy) {
    report.error(row, path, std::move(message), std::move(remedy));
  });
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
  SelectorTexts texts;
  bool usable = true;  // each text that is given is one
  const auto read = [&](std::string_view key, std::optional<std::string>& text) {
    std::string value;
    if (group.text(key, value))
      text = std::move(value);
    else
      usable = usable && !group.given(key);
  };
  read(keys.local, texts.local);
  read(keys.remote, texts.remote);
  read(keys.protocol, texts.protocol);
  read(keys.local_port, texts.local_port);
  read(keys.remote_port, texts.remote_port);
  read(keys.icmp_type, texts.icmp_type);
  auto selectors =
      read_selectors(texts, keys, [&](std::string_view key, std::string message, std::string remedy) {
        group.error(key, std::move(message), std::move(remedy));
      });
  if (!usable) selectors.clear();
  return selectors;
}

std::string not_a_host(const net::Address& address) {
  if (address.is_unspecified()) return "the unspecified address";
  if (address.family == net::Family::v6) return address.bytes[0] == 0xff ? "a multicast address" : "";
  if (address.v4_value() == 0xffff'ffff) return "the broadcast address";
  if (address.v4_value() >> 28 == 0xe) return "a multicast address";
  return "";
}

}  // namespace espgate::config
