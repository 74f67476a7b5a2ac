#include "drivers/port/vdev_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace espgate::port {
namespace {

enum class Kind : std::uint8_t { plain, interface, file };

struct Argument {
  std::string_view name;
  Kind kind = Kind::plain;
  bool required = false;
};

struct Driver {
  std::string_view name;
  std::vector<Argument> arguments;
  bool shared = false;       // the kernel works on the frames of `iface` as well
  unsigned largest_mtu = 0;  // 0: not known before the device is there
};

// As DPDK 22.11 has them: what its drivers publish as RTE_PMD_REGISTER_PARAM_STRING, and take beyond it.
const std::vector<Driver>& drivers() {
  static const std::vector<Driver> table{
      {"net_af_packet",
       {{"iface", Kind::interface, true},
        {"qpairs"},
        {"blocksz"},
        {"framesz"},
        {"framecnt"},
        {"qdisc_bypass"}},
       true,
       1500},
      {"net_af_xdp",
       {{"iface", Kind::interface, true},
        {"start_queue"},
        {"queue_count"},
        {"shared_umem"},
        {"xdp_prog", Kind::file},
        {"busy_budget"},
        {"force_copy"}}},
      {"net_pcap",
       {{"rx_pcap", Kind::file},
        {"tx_pcap"},
        {"rx_iface", Kind::interface},
        {"rx_iface_in", Kind::interface},
        {"tx_iface", Kind::interface},
        {"iface", Kind::interface},
        {"phy_mac"},
        {"infinite_rx"}},
       true},
      {"net_null", {{"size"}, {"copy"}, {"no-rx"}}},
      {"net_ring", {{"nodeaction"}, {"internal"}}},
      {"net_tap", {{"iface"}, {"mac"}, {"remote", Kind::interface}}},
      {"net_tun", {{"iface"}}},
  };
  return table;
}

const Driver* driver_of(std::string_view device) {
  const auto found =
      std::ranges::find_if(drivers(), [&](const Driver& driver) { return device.starts_with(driver.name); });
  return found == drivers().end() ? nullptr : &*found;
}

const Argument* find(const Driver& driver, std::string_view name) {
  const auto found = std::ranges::find(driver.arguments, name, &Argument::name);
  return found == driver.arguments.end() ? nullptr : &*found;
}

struct Given {
  std::string name;
  std::string value;
};

// "net_x0,a=1,b" is {a, 1} and {b, }.
std::vector<Given> arguments_of(const std::string& device) {
  std::vector<Given> result;
  for (auto at = device.find(','); at != std::string::npos;) {
    const auto next = device.find(',', at + 1);
    const auto one = device.substr(at + 1, next == std::string::npos ? next : next - at - 1);
    const auto equals = one.find('=');
    result.push_back({one.substr(0, equals), equals == std::string::npos ? "" : one.substr(equals + 1)});
    at = next;
  }
  return result;
}

Expected<void> check_value(const Argument& argument, const std::string& value) {
  if (argument.kind == Kind::interface && if_nametoindex(value.c_str()) == 0)
    return Error{fmt::format("no network interface {}", value.empty() ? "is named" : value),
                 "`ip link` lists those of this network namespace"};
  if (argument.kind == Kind::file && access(value.c_str(), R_OK) != 0)
    return Error{fmt::format("the file {} of {} cannot be read", value, argument.name),
                 "give the path of a file that is there"};
  return {};
}

std::vector<std::string_view> names_of(const Driver& driver) {
  std::vector<std::string_view> names;
  for (const auto& argument : driver.arguments) names.push_back(argument.name);
  return names;
}

}  // namespace

std::string interface_of(const std::string& device) {
  const auto* driver = driver_of(device);
  if (driver == nullptr) return {};
  const auto* argument = find(*driver, "iface");
  if (argument == nullptr || argument->kind != Kind::interface) return {};
  for (const auto& given : arguments_of(device))
    if (given.name == "iface") return given.value;
  return {};
}

std::string shared_interface_of(const std::string& device) {
  const auto* driver = driver_of(device);
  return driver != nullptr && driver->shared ? interface_of(device) : std::string();
}

std::optional<unsigned> largest_mtu(const std::string& device, net::Vlans vlans) {
  const auto* driver = driver_of(device);
  if (driver == nullptr || driver->largest_mtu == 0) return std::nullopt;
  return driver->largest_mtu - net::tags_in_mtu(vlans);
}

Expected<void> check_vdev_arguments(const std::string& device) {
  const auto* driver = driver_of(device);
  if (driver == nullptr) return {};
  const auto arguments = arguments_of(device);
  for (const auto& given : arguments) {
    const auto* argument = find(*driver, given.name);
    if (argument == nullptr)
      return Error{fmt::format("the driver {} has no argument \"{}\"", driver->name, given.name),
                   fmt::format("it takes {}", fmt::join(names_of(*driver), ", "))};
    if (auto good = check_value(*argument, given.value); !good) return good;
  }
  for (const auto& argument : driver->arguments)
    if (argument.required && std::ranges::find(arguments, argument.name, &Given::name) == arguments.end())
      return Error{fmt::format("the driver {} needs the argument {}=", driver->name, argument.name),
                   fmt::format("write \"{},{}=eth1\" with the name of your interface",
                               device.substr(0, device.find(',')), argument.name)};
  return {};
}

}  // namespace espgate::port
