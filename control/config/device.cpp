#include "control/config/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_interface_characters = 15;  // IFNAMSIZ - 1

// A hexadecimal number that is the whole of `text`, not more than `most`.
std::optional<unsigned> hex_number(std::string_view text, std::size_t most_digits, unsigned most) {
  unsigned value = 0;
  if (text.empty() || text.size() > most_digits) return std::nullopt;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (failure != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

// "[DDDD:]BB:DD.F" written out in full and in lower case.
std::optional<std::string> pci_address(std::string_view text) {
  unsigned domain = 0;
  if (std::ranges::count(text, ':') == 2) {
    const auto given = hex_number(text.substr(0, text.find(':')), 8, 0xffff'ffff);
    if (!given) return std::nullopt;
    domain = *given;
    text.remove_prefix(text.find(':') + 1);
  }
  const auto colon = text.find(':');
  const auto dot = text.find('.');
  if (colon == std::string_view::npos || dot == std::string_view::npos || dot < colon) return std::nullopt;
  const auto bus = hex_number(text.substr(0, colon), 2, 0xff);
  const auto device = hex_number(text.substr(colon + 1, dot - colon - 1), 2, 0x1f);
  const auto function = hex_number(text.substr(dot + 1), 1, 7);
  if (!bus || !device || !function) return std::nullopt;
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", domain, *bus, *device, *function);
}

bool is_driver_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::string argument(std::string_view arguments, std::string_view name) {
  while (!arguments.empty()) {
    const auto one = arguments.substr(0, arguments.find(','));
    arguments.remove_prefix(std::min(one.size() + 1, arguments.size()));
    if (one.starts_with(name) && one.substr(name.size()).starts_with('='))
      return std::string(one.substr(name.size() + 1));
  }
  return {};
}

}  // namespace

Expected<Device> parse_device(std::string_view text) {
  auto name = text.substr(0, text.find(','));
  const auto arguments = text.substr(std::min(name.size() + 1, text.size()));
  for (const std::string_view bus : {"pci:", "vdev:"})
    if (name.starts_with(bus)) name.remove_prefix(bus.size());

  if (auto address = pci_address(name)) return Device{std::move(*address), {}};
  if (name.starts_with("net_") && name.size() > 4 && std::ranges::all_of(name, is_driver_character))
    return Device{std::string(name), argument(arguments, "iface")};

  Error error{fmt::format("{} is neither a PCI address nor a DPDK virtual device", shown(text)), ""};
  const bool like_pci = name.find(':') != std::string_view::npos;
  if (!like_pci && check_interface_name(name))
    error.remedy = fmt::format(
        "for the kernel's interface {0}, write \"net_af_packet0,iface={0}\", or the PCI address that "
        "readlink /sys/class/net/{0}/device ends with",
        name);
  else
    error.remedy =
        "write an address that dpdk-devbind.py --status lists, such as \"0000:3b:00.0\", or a virtual "
        "device such as \"net_af_packet0,iface=eth1\"";
  return error;
}

Expected<void> check_interface_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> taken{"lo", "all", "default", ".", ".."};
  const auto refuse = [&](std::string why) {
    return Error{
        fmt::format("{} {}", shown(name), why),
        fmt::format("choose at most {} letters, digits, hyphens and dots", most_interface_characters)};
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > most_interface_characters)
    return refuse(fmt::format("has {} characters, too many for an interface of the kernel", name.size()));
  for (const char c : name)
    if (c <= ' ' || c > '~' || c == '/' || c == ':' || c == '%' || c == '"' || c == '\\')
      return refuse(fmt::format("has {} in it, which the name of a kernel interface cannot have",
                                c == ' ' ? "a space" : shown({&c, 1})));
  if (std::ranges::find(taken, name) != taken.end()) return refuse("means something else to the kernel");
  return {};
}

}  // namespace espgate::config
