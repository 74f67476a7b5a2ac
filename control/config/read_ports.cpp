#include <fmt/format.h>

#include <algorithm>

#include "control/config/device.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::config {
namespace {

void read_name(const GroupReader& group, Port& port, Checks& checks) {
  if (!group.text("name", port.name)) return;
  if (const auto valid = check_interface_name(port.name); !valid)
    return group.error("name", valid.error().what, valid.error().remedy);
  const auto row = group.row_of("name");
  if (const auto* first = checks.port_names.claim(port.name, row, group.path()))
    group.error(
        "name",
        fmt::format("{} is already the name of {}", shown(port.name), described(*first, group.report(), row)),
        "give each port a name of its own");
}

void read_device(const GroupReader& group, Port& port, Checks& checks) {
  if (!group.text("device", port.device)) return;
  const auto device = parse_device(port.device);
  if (!device) return group.error("device", device.error().what, device.error().remedy);
  const auto arguments = port.device.find(',');
  port.device = device->identity + (arguments == std::string::npos ? "" : port.device.substr(arguments));
  const auto row = group.row_of("device");
  const auto& owner = group.path();
  if (const auto* first = checks.devices.claim(device->identity, row, owner))
    return group.error("device",
                       fmt::format("{} is the device of {} as well", shown(device->identity),
                                   described(*first, group.report(), row)),
                       device->identity.starts_with("net_")
                           ? "number virtual devices of one driver: net_af_packet0, net_af_packet1"
                           : "use another device, or remove one of the ports");
  if (device->kernel_interface.empty()) return;
  if (const auto* first = checks.kernel_interfaces.claim(device->kernel_interface, row, owner))
    return group.error("device",
                       fmt::format("the kernel's interface {} is driven by {} as well",
                                   shown(device->kernel_interface), described(*first, group.report(), row)),
                       "use another interface, or remove one of the ports");
}

void read_vlans(const GroupReader& group, Port& port) {
  std::uint16_t service = 0, customer = 0;
  group.integer("vlan", customer);
  group.integer("service-vlan", service);
  if (service != 0 && customer == 0)
    group.error("service-vlan", "behind a service tag there is another, and this port's vlan is 0",
                "set vlan to the inner tag, or, if there is but one tag, use vlan alone");
  port.vlans = net::vlans_of(service, customer);
}

Port read_port(const GroupReader& group, Checks& checks) {
  Port port;
  const auto& place = group.report().places().of(group.row());
  port.line = place.line;
  port.file = place.file;
  read_name(group, port, checks);
  read_device(group, port, checks);
  group.boolean("ipsec", port.ipsec);
  const bool mtu_is_good = group.integer("mtu", port.mtu);
  read_vlans(group, port);
  for (const auto& element : group.texts("addresses"))
    if (const auto address = interface_address_of(group, element, checks)) port.addresses.push_back(*address);

  const bool has_v6 = std::ranges::any_of(
      port.addresses, [](const auto& entry) { return entry.address.family == net::Family::v6; });
  if (mtu_is_good && has_v6 && port.mtu < net::ipv6_least_mtu)
    group.error("mtu", fmt::format("{} bytes are too few for the port's IPv6 address (RFC 8200 5)", port.mtu),
                fmt::format("choose {} or more", net::ipv6_least_mtu));
  return port;
}

}  // namespace

void read_ports(const GroupReader& top, Configuration& configuration, Checks& checks) {
  struct Named {
    std::string name;
    std::string path;
    unsigned row;
  };
  std::vector<Named> twins;
  top.visit("ports", [&](const GroupReader& group) {
    const auto& port = configuration.ports.emplace_back(read_port(group, checks));
    checks.mtu_rows.push_back(group.row_of("mtu"));
    twins.push_back({port.name, group.path_of("name"), group.row_of("name")});
  });
  // A twin cannot be made under a name that belongs to an interface that a port drives.
  for (const auto& [name, path, row] : twins)
    if (const auto* driven = checks.kernel_interfaces.find(name))
      top.report().error(row, path,
                         fmt::format("{} is the kernel's interface that {} drives, so the port's twin cannot "
                                     "have that name",
                                     shown(name), described(*driven, top.report(), row)),
                         "choose another name for the port, such as \"outside\"");
}

}  // namespace espgate::config
