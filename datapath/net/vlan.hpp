// The VLAN tags of a port's frames (IEEE 802.1Q, 802.1ad).
#pragma once

#include <cstdint>

#include "datapath/net/headers.hpp"

namespace espgate::net {

// The tags that all frames of a port carry: 0 untagged, a VLAN id, or of two (QinQ) the service tag's id,
// which is in front, << 16 | the customer tag's. Tags with id 0 only carry a priority and do not count.
using Vlans = std::uint32_t;

constexpr Vlans vlans_of(std::uint16_t service, std::uint16_t customer) {
  return Vlans{service} << 16 | customer;
}
constexpr std::uint16_t customer_of(Vlans vlans) {
  return static_cast<std::uint16_t>(vlans);
}
constexpr std::uint16_t service_of(Vlans vlans) {
  return static_cast<std::uint16_t>(vlans >> 16);
}
// The tag that comes first in a frame, and the one behind it; 0 where there is none.
constexpr std::uint16_t front_of(Vlans vlans) {
  return service_of(vlans) != 0 ? service_of(vlans) : customer_of(vlans);
}
constexpr std::uint16_t behind_front_of(Vlans vlans) {
  return service_of(vlans) != 0 ? customer_of(vlans) : std::uint16_t{0};
}

constexpr std::uint16_t tag_bytes(Vlans vlans) {
  return static_cast<std::uint16_t>(((service_of(vlans) != 0) + (vlans != 0)) * vlan_tag_bytes);
}

// How much larger than its IP packets the MTU of a device must be for these tags: one has its place beside
// the MTU, while two count as payload where service tags are not known.
constexpr std::uint16_t tags_in_mtu(Vlans vlans) {
  return service_of(vlans) != 0 ? tag_bytes(vlans) : std::uint16_t{0};
}

// Writes the tags, of priority 0, where an untagged frame has its EtherType. Returns their end: `to` has room
// for tag_bytes(vlans).
inline std::uint8_t* write_tags(std::uint8_t* to, Vlans vlans) {
  const auto write = [&](std::uint16_t type, std::uint16_t id) {
    store_be16({to, vlan_tag_bytes}, 0, type);
    store_be16({to, vlan_tag_bytes}, 2, id);
    to += vlan_tag_bytes;
  };
  if (service_of(vlans) != 0) write(ethertype_service, service_of(vlans));
  if (vlans != 0) write(ethertype_vlan, customer_of(vlans));
  return to;
}

}  // namespace espgate::net
