// Reads rtnetlink messages into values. Pure: no sockets. Every length is checked against the message.
#pragma once

#include <linux/netlink.h>

#include <optional>

#include "drivers/host/kernel_values.hpp"
#include "drivers/host/route_list.hpp"

namespace espgate::host {

struct LinkMessage {
  int ifindex = 0;
  Link link;
};
// RTM_NEWLINK, RTM_DELLINK. Nothing for bridge and other non-device messages.
std::optional<LinkMessage> read_link(nlmsghdr* message);

struct AddressMessage {
  int ifindex = 0;
  net::InterfaceAddress address;
  AddressState state = AddressState::preferred;
};
// RTM_NEWADDR, RTM_DELADDR.
std::optional<AddressMessage> read_address(nlmsghdr* message);

// RTM_NEWROUTE, RTM_DELROUTE. Nothing for tables other than main and local, for cached routes, and for
// routes that depend on more than the destination (type of service, source prefix).
std::optional<Route> read_route(nlmsghdr* message);
RouteNotice notice_of(const nlmsghdr* message);

struct NeighbourMessage {
  NeighbourKey key;
  std::optional<Neighbour> usable;  // none: not resolved, failed or removed
};
// RTM_NEWNEIGH, RTM_DELNEIGH. Nothing for multicast and for bridge entries.
std::optional<NeighbourMessage> read_neighbour(nlmsghdr* message);

}  // namespace espgate::host
