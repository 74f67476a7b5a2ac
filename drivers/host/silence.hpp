// Keeps the kernel's own stack from frames of interfaces that ports drive beside it. A driver on a packet
// socket (net_af_packet) gets a copy of each frame; the kernel, which would work on the other one, refuse its
// ESP as an unknown protocol, answer a ping twice and forward what is forwarded already, drops it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "drivers/host/netlink_socket.hpp"

namespace espgate::host {

// A table of nftables, `netdev espgate-PID`, with a chain for each interface at its ingress, behind the
// packet sockets, that drops all. The table belongs to this object's socket (NFT_TABLE_F_OWNER, Linux 5.12):
// nobody else can change or flush it, and the kernel removes it with the socket, however the process ends.
class Silence {
 public:
  // Of at least one interface. Errors: no such interface, no nftables in this kernel, not allowed.
  static Expected<Silence> over(const std::vector<std::string>& interfaces);

 private:
  explicit Silence(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace espgate::host
