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

std::string not_a_host(const net::Address& address) {
  if (address.is_unspecified()) return "the unspecified address";
  if (address.family == net::Family::v6) return address.bytes[0] == 0xff ? "a multicast address" : "";
  if (address.v4_value() == 0xffff'ffff) return "the broadcast address";
  if (address.v4_value() >> 28 == 0xe) return "a multicast address";
  return "";
}

}  // namespace espgate::config
