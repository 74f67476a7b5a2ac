#include "drivers/host/netlink_message.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace espgate::host {
namespace {

template <int max>
using Attributes = std::array<nlattr*, max + 1>;

// The fixed part of a message and its attributes, or nothing if the message is too short for them.
template <typename Header, int max>
std::optional<Header> read(nlmsghdr* message, Attributes<max>& attributes) {
  if (!nlmsg_valid_hdr(message, sizeof(Header))) return std::nullopt;
  if (nlmsg_parse(message, sizeof(Header), attributes.data(), max, nullptr) < 0) return std::nullopt;
  Header header;
  std::memcpy(&header, nlmsg_data(message), sizeof header);
  return header;
}

template <typename Value>
std::optional<Value> value_of(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(Value))) return std::nullopt;
  Value value;
  std::memcpy(&value, nla_data(attribute), sizeof value);
  return value;
}

std::optional<net::Address> bytes_to_address(int family, const void* bytes, int length) {
  const bool v4 = family == AF_INET;
  if ((!v4 && family != AF_INET6) || length < (v4 ? 4 : 16)) return std::nullopt;
  return net::Address::from_bytes(v4 ? net::Family::v4 : net::Family::v6,
                                  static_cast<const std::uint8_t*>(bytes));
}

std::optional<net::Address> address_of(int family, const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  return bytes_to_address(family, nla_data(attribute), nla_len(attribute));
}

// RTA_GATEWAY, or RTA_VIA when the gateway is of the other family (RFC 8950).
std::optional<net::Address> gateway_of(int family, const nlattr* gateway, const nlattr* via) {
  if (gateway != nullptr) return address_of(family, gateway);
  const auto via_family = value_of<std::uint16_t>(via);
  if (!via_family) return std::nullopt;
  constexpr int family_bytes = sizeof(std::uint16_t);
  return bytes_to_address(*via_family, static_cast<const std::uint8_t*>(nla_data(via)) + family_bytes,
                          nla_len(via) - family_bytes);
}

// An optimistic address may be used while it is tentative, if there is no other (RFC 4429 3.2).
AddressState state_of_address(std::uint32_t flags) {
  if ((flags & IFA_F_DADFAILED) != 0) return AddressState::tentative;
  if ((flags & IFA_F_OPTIMISTIC) != 0) return AddressState::deprecated;
  if ((flags & IFA_F_TENTATIVE) != 0) return AddressState::tentative;
  return (flags & IFA_F_DEPRECATED) != 0 ? AddressState::deprecated : AddressState::preferred;
}

std::optional<RouteType> type_of(unsigned char type) {
  switch (type) {
    case RTN_UNICAST:
      return RouteType::unicast;
    case RTN_LOCAL:
      return RouteType::local;
    case RTN_BROADCAST:
      return RouteType::broadcast;
    case RTN_ANYCAST:
      return RouteType::anycast;
    case RTN_MULTICAST:
      return RouteType::multicast;
    case RTN_BLACKHOLE:
      return RouteType::blackhole;
    case RTN_UNREACHABLE:
      return RouteType::unreachable;
    case RTN_PROHIBIT:
      return RouteType::prohibit;
    case RTN_THROW:
      return RouteType::throw_lookup;
    default:
      return std::nullopt;
  }
}

// RTA_MULTIPATH: a row of rtnexthop records, each followed by its own attributes.
void read_multipath(int family, const nlattr* multipath, std::vector<NextHop>& into) {
  const auto* at = static_cast<const std::uint8_t*>(nla_data(multipath));
  auto left = static_cast<std::size_t>(nla_len(multipath));
  rtnexthop record;
  while (left >= sizeof record) {
    std::memcpy(&record, at, sizeof record);
    if (record.rtnh_len < sizeof record || record.rtnh_len > left) return;
    Attributes<RTA_MAX> attributes{};
    // nla_parse takes a mutable attribute but only reads; the copy keeps the message const here.
    std::vector<std::uint8_t> rest(at + sizeof record, at + record.rtnh_len);
    if (nla_parse(attributes.data(), RTA_MAX, reinterpret_cast<nlattr*>(rest.data()),
                  static_cast<int>(rest.size()), nullptr) < 0)
      return;
    into.push_back({record.rtnh_ifindex, gateway_of(family, attributes[RTA_GATEWAY], attributes[RTA_VIA]),
                    (record.rtnh_flags & RTNH_F_DEAD) != 0});
    const std::size_t step = std::min<std::size_t>(left, RTNH_ALIGN(record.rtnh_len));
    at += step;
    left -= step;
  }
}

std::uint32_t mtu_of(nlattr* metrics) {
  Attributes<RTAX_MAX> attributes{};
  if (metrics == nullptr || nla_parse_nested(attributes.data(), RTAX_MAX, metrics, nullptr) < 0) return 0;
  return value_of<std::uint32_t>(attributes[RTAX_MTU]).value_or(0);
}

}  // namespace

std::optional<LinkMessage> read_link(nlmsghdr* message) {
  Attributes<IFLA_MAX> attributes{};
  const auto header = read<ifinfomsg, IFLA_MAX>(message, attributes);
  if (!header || header->ifi_family != AF_UNSPEC) return std::nullopt;
  LinkMessage result{header->ifi_index, {}};
  Link& link = result.link;
  if (attributes[IFLA_IFNAME] != nullptr) {
    const auto* text = static_cast<const char*>(nla_data(attributes[IFLA_IFNAME]));
    link.name.assign(text, strnlen(text, static_cast<std::size_t>(nla_len(attributes[IFLA_IFNAME]))));
  }
  link.mac = value_of<Mac>(attributes[IFLA_ADDRESS]).value_or(Mac{});
  link.mtu = value_of<std::uint32_t>(attributes[IFLA_MTU]).value_or(0);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.running = (header->ifi_flags & IFF_RUNNING) != 0;
  link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  return result;
}

std::optional<AddressMessage> read_address(nlmsghdr* message) {
  Attributes<IFA_MAX> attributes{};
  const auto header = read<ifaddrmsg, IFA_MAX>(message, attributes);
  if (!header) return std::nullopt;
  // IFA_LOCAL is ours; IFA_ADDRESS is the peer's on a point-to-point link, else ours too.
  auto address = address_of(header->ifa_family, attributes[IFA_LOCAL]);
  if (!address) address = address_of(header->ifa_family, attributes[IFA_ADDRESS]);
  if (!address) return std::nullopt;
  const auto flags = value_of<std::uint32_t>(attributes[IFA_FLAGS]).value_or(header->ifa_flags);
  return AddressMessage{
      static_cast<int>(header->ifa_index), {*address, header->ifa_prefixlen}, state_of_address(flags)};
}

std::optional<Route> read_route(nlmsghdr* message) {
  Attributes<RTA_MAX> attributes{};
  const auto header = read<rtmsg, RTA_MAX>(message, attributes);
  if (!header || (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)) return std::nullopt;
  if ((header->rtm_flags & RTM_F_CLONED) != 0 || header->rtm_tos != 0 || header->rtm_src_len != 0)
    return std::nullopt;
  const auto table = value_of<std::uint32_t>(attributes[RTA_TABLE]).value_or(header->rtm_table);
  if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL) return std::nullopt;
  const auto type = type_of(header->rtm_type);
  if (!type) return std::nullopt;

  const int family = header->rtm_family;
  net::Address zero;
  if (family == AF_INET6) zero.family = net::Family::v6;
  const auto destination = address_of(family, attributes[RTA_DST]).value_or(zero);
  if (header->rtm_dst_len > destination.bits()) return std::nullopt;

  Route route{net::masked(destination, header->rtm_dst_len),
              table == RT_TABLE_LOCAL ? RouteTable::local : RouteTable::main,
              value_of<std::uint32_t>(attributes[RTA_PRIORITY]).value_or(0),
              *type,
              mtu_of(attributes[RTA_METRICS]),
              {}};
  if (attributes[RTA_MULTIPATH] != nullptr) {
    read_multipath(family, attributes[RTA_MULTIPATH], route.next_hops);
  } else if (const auto oif = value_of<int>(attributes[RTA_OIF])) {
    route.next_hops.push_back({*oif, gateway_of(family, attributes[RTA_GATEWAY], attributes[RTA_VIA]),
                               (header->rtm_flags & RTNH_F_DEAD) != 0});
  }
  return route;
}

RouteNotice notice_of(const nlmsghdr* message) {
  if ((message->nlmsg_flags & NLM_F_REPLACE) != 0) return RouteNotice::replaced;
  if ((message->nlmsg_flags & NLM_F_APPEND) != 0) return RouteNotice::appended;
  if ((message->nlmsg_flags & NLM_F_EXCL) != 0) return RouteNotice::created;
  return RouteNotice::prepended;
}

std::optional<NeighbourMessage> read_neighbour(nlmsghdr* message) {
  Attributes<NDA_MAX> attributes{};
  const auto header = read<ndmsg, NDA_MAX>(message, attributes);
  if (!header) return std::nullopt;
  const auto address = address_of(header->ndm_family, attributes[NDA_DST]);
  if (!address || header->ndm_type == RTN_MULTICAST || header->ndm_type == RTN_BROADCAST) return std::nullopt;
  NeighbourMessage result{{*address, header->ndm_ifindex}, {}};
  constexpr unsigned usable_states =
      NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;
  const auto mac = value_of<Mac>(attributes[NDA_LLADDR]);
  if (message->nlmsg_type == RTM_NEWNEIGH && mac && (header->ndm_state & usable_states) != 0) {
    result.usable = Neighbour{*mac, (header->ndm_state & NUD_STALE) != 0,
                              (header->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0};
  }
  return result;
}

}  // namespace espgate::host
