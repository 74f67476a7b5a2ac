// Whether what comes in on an inside port still fits its way out once ESP has made it larger. What does not
// is fragmented, or its sender told, which works and is slow: the MTU of the inside spares both.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/config/read.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "drivers/port/vdev_arguments.hpp"

namespace espgate::config {
namespace {

constexpr unsigned ipv4_bytes = net::ipv4_header_bytes;
constexpr unsigned ipv6_bytes = net::ipv6_header_bytes;
constexpr unsigned udp_bytes = net::udp_header_bytes;
constexpr unsigned esp_bytes = net::esp_header_bytes;
constexpr unsigned most_mtu = 9'000;  // of the key
constexpr unsigned tcp_bytes = 20;    // without options, as MSS counts (RFC 9293 3.7.1)

sa::EspSizes sizes_of(const Connection& connection) {
  const bool v4 = connection.local.family == net::Family::v4;
  const bool udp = connection.encapsulation == Encapsulation::udp;
  return {(v4 ? ipv4_bytes : ipv6_bytes) + (udp ? udp_bytes : 0) + esp_bytes,
          crypto::suite(connection.suite)};
}

// The port that a connection's packets leave by, as far as the file tells: the one that has its local
// address, else the port with ipsec that takes the least.
const Port* way_out(const Configuration& configuration, const Connection& connection) {
  const Port* narrowest = nullptr;
  for (const auto& port : configuration.ports) {
    for (const auto& address : port.addresses)
      if (address.address == connection.local) return &port;
    if (port.ipsec && (narrowest == nullptr || port.mtu < narrowest->mtu)) narrowest = &port;
  }
  return narrowest;
}

struct Narrowest {
  const Connection* connection;
  const Port* port;
  sa::EspSizes sizes;
  unsigned inner;  // the largest inner packet
};

std::optional<Narrowest> narrowest_connection(const Configuration& configuration) {
  std::optional<Narrowest> result;
  for (const auto& connection : configuration.connections) {
    if (!connection.outbound) continue;
    const auto* port = way_out(configuration, connection);
    if (port == nullptr) continue;
    const auto sizes = sizes_of(connection);
    const auto inner = sizes.largest_payload(port->mtu);
    if (!result || inner < result->inner) result = {&connection, port, sizes, inner};
  }
  return result;
}

// As far as is known without the device.
bool can_take(const Port& port, unsigned mtu) {
  return mtu <= most_mtu && mtu <= port::largest_mtu(port.device, port.vlans).value_or(mtu);
}

}  // namespace

std::optional<unsigned> largest_inner_packet(const Configuration& configuration,
                                             const Connection& connection) {
  const auto* port = way_out(configuration, connection);
  if (port == nullptr) return std::nullopt;
  return sizes_of(connection).largest_payload(port->mtu);
}

void check_mtus(const GroupReader& top, const Configuration& configuration, const Checks& checks) {
  const auto narrowest = narrowest_connection(configuration);
  if (!narrowest) return;
  const auto& [connection, outside, sizes, inner] = *narrowest;
  for (std::size_t i = 0; i < configuration.ports.size(); ++i) {
    const auto& port = configuration.ports[i];
    const auto needed = sizes.outer_bytes(port.mtu);
    if (port.ipsec || &port == outside || port.mtu <= inner) continue;
    top.report().warning(
        checks.mtu_rows[i], fmt::format("ports[{}].mtu", i),
        fmt::format("a packet of {} bytes becomes one of {} in connection \"{}\", and port \"{}\" takes {}: "
                    "packets above {} bytes are fragmented, or dropped if that is forbidden",
                    port.mtu, needed, connection->name, outside->name, outside->mtu, inner),
        fmt::format(
            "set mtu = {} here and on the hosts of that network (TCP MSS {} for IPv4, {} for IPv6){}", inner,
            inner - ipv4_bytes - tcp_bytes, inner - ipv6_bytes - tcp_bytes,
            can_take(*outside, needed)
                ? fmt::format(", or raise the mtu of \"{}\" to {} if its device and its network carry that",
                              outside->name, needed)
                : std::string()));
  }
}

}  // namespace espgate::config
