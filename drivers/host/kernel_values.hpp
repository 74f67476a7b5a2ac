// What the kernel says about its interfaces, addresses, routes and neighbours, as values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "datapath/net/address.hpp"
#include "drivers/host/mac.hpp"

namespace espgate::host {

// Sorts prefixes by family, then address, then length, so that all prefixes inside a given one follow
// it without a gap.
struct PrefixOrder {
  bool operator()(const net::Prefix& a, const net::Prefix& b) const {
    return std::tie(a.address.family, a.address.bytes, a.length) <
           std::tie(b.address.family, b.address.bytes, b.length);
  }
};

inline net::Prefix host_prefix(const net::Address& address) {
  return {address, static_cast<std::uint8_t>(address.bits())};
}

struct Link {
  std::string name;
  Mac mac{};
  std::uint32_t mtu = 0;
  bool up = false;       // administratively
  bool running = false;  // has carrier
  bool loopback = false;
  bool operator==(const Link&) const = default;
};

enum class RouteType : std::uint8_t {
  unicast,
  local,
  broadcast,
  anycast,
  multicast,
  blackhole,
  unreachable,
  prohibit,
  throw_lookup,  // "ask the next table"; there is none behind main, so no route
};

enum class RouteTable : std::uint8_t { local = 255, main = 254 };

struct NextHop {
  int ifindex = 0;
  std::optional<net::Address> gateway;  // none: the destination is on the link
  bool dead = false;                    // the kernel passes over it
  bool operator==(const NextHop&) const = default;
};

struct Route {
  net::Prefix destination;
  RouteTable table = RouteTable::main;
  std::uint32_t metric = 0;  // lowest wins
  RouteType type = RouteType::unicast;
  std::uint32_t mtu = 0;  // 0: the interface's
  std::vector<NextHop> next_hops;
  bool operator==(const Route&) const = default;
};

// A neighbour whose MAC address is known and may be used. Others are not kept.
struct Neighbour {
  Mac mac{};
  bool stale = false;      // usable, but nobody has heard of it for a while
  bool permanent = false;  // set by a person; the kernel must not be asked to confirm it
  bool operator==(const Neighbour&) const = default;
};

struct NeighbourKey {
  net::Address address;
  int ifindex = 0;
  bool operator==(const NeighbourKey&) const = default;
};

struct NeighbourOrder {
  bool operator()(const NeighbourKey& a, const NeighbourKey& b) const {
    return std::tie(a.address.family, a.address.bytes, a.ifindex) <
           std::tie(b.address.family, b.address.bytes, b.ifindex);
  }
};

using Links = std::map<int, Link>;
// Whether an address may be spoken from (RFC 4862 5.4, 5.5.4).
enum class AddressState : std::uint8_t {
  tentative,   // not: another host may have it, or has it
  deprecated,  // if there is no other
  preferred,
};
using Addresses = std::map<std::pair<int, net::InterfaceAddress>, AddressState>;
using Neighbours = std::map<NeighbourKey, Neighbour, NeighbourOrder>;

// What changed. The view holds the new state; it is up to date when the event arrives.
struct LinkChanged {
  int ifindex;
};
struct AddressAdded {  // or its state is another
  int ifindex;
  net::InterfaceAddress address;
};
struct AddressRemoved {
  int ifindex;
  net::InterfaceAddress address;
};
struct RoutesChanged {  // something about the routes to just this prefix
  net::Prefix destination;
};
struct NeighbourChanged {
  NeighbourKey neighbour;
};
using Event = std::variant<LinkChanged, AddressAdded, AddressRemoved, RoutesChanged, NeighbourChanged>;

}  // namespace espgate::host
