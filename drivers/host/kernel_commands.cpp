#include "drivers/host/kernel_commands.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace espgate::host {
namespace {

unsigned char family_of(const net::Address& address) {
  return address.family == net::Family::v4 ? AF_INET : AF_INET6;
}

int byte_count(const net::Address& address) {
  return address.bits() / 8;
}

void put_address(nl_msg* message, int type, const net::Address& address) {
  nla_put(message, type, byte_count(address), address.bytes.data());
}

std::string interface_name(int ifindex) {
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr
             ? "interface " + std::to_string(ifindex)
             : std::string(name);
}

// What a person can do about an errno of rtnetlink.
std::string remedy_for(int code, const std::string& subject) {
  switch (code) {
    case EPERM:
      return "run as root or give CAP_NET_ADMIN";
    case EEXIST:
      return "the kernel has it already, from elsewhere: remove it there or from the configuration";
    case ENODEV:
      return "the interface is gone: restart espgated";
    case ENETDOWN:
      return "bring the interface up with `ip link set dev NAME up`";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EINVAL:
      return "give a port an address in the network of the gateway, and check " + subject;
    case EOPNOTSUPP:
    case EACCES:
      return "IPv6 may be off: see `sysctl net.ipv6.conf.all.disable_ipv6`";
    case ENOBUFS:
      return "the kernel's neighbour table is full: raise `sysctl net.ipv4.neigh.default.gc_thresh3`"
             " (and ipv6's)";
    case ESRCH:
    case ENOENT:
    case EADDRNOTAVAIL:
      return "it is not there (any more)";
    default:
      return "";
  }
}

Message address_request(int type, int flags, int ifindex, const net::InterfaceAddress& address) {
  ifaddrmsg header{};
  header.ifa_family = family_of(address.address);
  header.ifa_prefixlen = address.prefix_length;
  header.ifa_index = static_cast<unsigned>(ifindex);
  Message message = make_request(type, flags, header);
  put_address(message.get(), IFA_LOCAL, address.address);
  put_address(message.get(), IFA_ADDRESS, address.address);
  return message;
}

Message route_request(int type, int flags, const KernelCommands::RouteRequest& route) {
  rtmsg header{};
  header.rtm_family = family_of(route.to.address);
  header.rtm_dst_len = route.to.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (type == RTM_DELROUTE) header.rtm_scope = RT_SCOPE_NOWHERE;
  header.rtm_type = type == RTM_DELROUTE ? RTN_UNSPEC : RTN_UNICAST;
  Message message = make_request(type, flags, header);
  put_address(message.get(), RTA_DST, route.to.address);
  if (route.via) put_address(message.get(), RTA_GATEWAY, *route.via);
  if (route.ifindex != 0) nla_put_u32(message.get(), RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
  if (route.metric != 0) nla_put_u32(message.get(), RTA_PRIORITY, route.metric);
  return message;
}

std::string text_of(const KernelCommands::RouteRequest& route) {
  std::string text = "route " + net::to_string(route.to);
  if (route.via) text += " via " + net::to_string(*route.via);
  if (route.ifindex != 0) text += " dev " + interface_name(route.ifindex);
  return text;
}

std::string text_of(int ifindex, const net::InterfaceAddress& address) {
  return "address " + net::to_string(address.address) + "/" + std::to_string(address.prefix_length) + " on " +
         interface_name(ifindex);
}

}  // namespace

Expected<KernelCommands> KernelCommands::create() {
  auto socket = NetlinkSocket::open({}, NetlinkSocket::answer_bytes);
  if (!socket) return socket.error();
  return KernelCommands(std::move(socket).value());
}

Expected<void> KernelCommands::add_address(int ifindex, const net::InterfaceAddress& address) {
  Message message = address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, address);
  const int bits = address.address.bits();
  if (address.address.family == net::Family::v6) {
    nla_put_u32(message.get(), IFA_FLAGS, IFA_F_NODAD);
  } else if (address.prefix_length < bits - 1) {  // a point-to-point network has no broadcast (RFC 3021)
    const std::uint32_t host_mask =
        address.prefix_length == 0 ? ~0u : (1u << (bits - address.prefix_length)) - 1;
    put_address(message.get(), IFA_BROADCAST, net::Address::v4(address.address.v4_value() | host_mask));
  }
  return run(message.get(), "cannot add ", text_of(ifindex, address), EEXIST);
}

Expected<void> KernelCommands::remove_address(int ifindex, const net::InterfaceAddress& address) {
  const Message message = address_request(RTM_DELADDR, 0, ifindex, address);
  return run(message.get(), "cannot remove ", text_of(ifindex, address), 0);
}

Expected<void> KernelCommands::add_route(const RouteRequest& route) {
  const Message message = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  return run(message.get(), "cannot add ", text_of(route), 0);
}

Expected<void> KernelCommands::remove_route(const RouteRequest& route) {
  const Message message = route_request(RTM_DELROUTE, 0, route);
  return run(message.get(), "cannot remove ", text_of(route), ESRCH);
}

// nullopt: there is none.
std::optional<std::uint16_t> KernelCommands::neighbour_state(int ifindex, const net::Address& address) {
  ndmsg header{};
  header.ndm_family = family_of(address);
  header.ndm_ifindex = ifindex;
  const Message message = make_request(RTM_GETNEIGH, 0, header);
  put_address(message.get(), NDA_DST, address);
  std::optional<std::uint16_t> state;
  (void)socket_.transact(message.get(), [&](nlmsghdr* answer) {
    if (answer->nlmsg_type != RTM_NEWNEIGH || !nlmsg_valid_hdr(answer, sizeof(ndmsg))) return;
    ndmsg known;
    std::memcpy(&known, nlmsg_data(answer), sizeof known);
    state = known.ndm_state;
  });
  return state;
}

Expected<void> KernelCommands::resolve_neighbour(int ifindex, const net::Address& address) {
  const auto subject = "neighbour " + net::to_string(address) + " on " + interface_name(ifindex);
  const auto ask = [&](int flags) {
    ndmsg header{};
    header.ndm_family = family_of(address);
    header.ndm_ifindex = ifindex;
    header.ndm_state = NUD_NONE;
    header.ndm_flags = NTF_USE;
    // Without NLM_F_REPLACE a known neighbour keeps its MAC address.
    const Message message = make_request(RTM_NEWNEIGH, flags, header);
    put_address(message.get(), NDA_DST, address);
    return socket_.transact(message.get());
  };
  // If somebody makes it at this moment it is theirs, and may be permanent.
  auto refusal = ask(NLM_F_CREATE | NLM_F_EXCL);
  if (refusal.code == EEXIST) {
    constexpr int unresolved = NUD_STALE | NUD_FAILED;
    const auto state = neighbour_state(ifindex, address);
    if (!state || (*state != NUD_NONE && (*state & unresolved) == 0)) return {};
    refusal = ask(NLM_F_CREATE);
  }
  return outcome(refusal, "cannot resolve ", subject);
}

Expected<void> KernelCommands::run(nl_msg* request, const std::string& doing, const std::string& subject,
                                   int accept) {
  const auto refusal = socket_.transact(request);
  return accept != 0 && refusal.code == accept ? Expected<void>() : outcome(refusal, doing, subject);
}

Expected<void> KernelCommands::outcome(const NetlinkSocket::Refusal& refusal, const std::string& doing,
                                       const std::string& subject) {
  if (refusal.code == 0) return {};
  std::string what = doing + subject + ": " + std::strerror(refusal.code);
  if (!refusal.kernel.empty()) what += " (" + refusal.kernel + ")";
  return Error{std::move(what), remedy_for(refusal.code, subject)};
}

}  // namespace espgate::host
