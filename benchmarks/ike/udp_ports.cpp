#include "benchmarks/ike/udp_ports.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace espgate::bench {
namespace {

constexpr std::size_t marker_bytes = 4;  // that tells IKE from ESP on port 4500 (RFC 3948 2.2)
constexpr unsigned datagrams_a_call = 32;
constexpr std::array<std::uint16_t, 2> ports{net::ike_port, net::natt_port};

sockaddr_in socket_address(const net::Address& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  result.sin_addr.s_addr = htonl(address.v4_value());
  return result;
}

int open_port(std::uint16_t port) {
  const int opened = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto any = socket_address(net::Address::v4(INADDR_ANY), port);
  const int on = 1, buffer_bytes = 16 << 20;
  sockaddr general;
  std::memcpy(&general, &any, sizeof general);
  if (opened < 0 || setsockopt(opened, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) != 0 ||
      setsockopt(opened, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0 ||
      bind(opened, &general, sizeof general) != 0)
    throw std::system_error(errno, std::generic_category(), "UDP port " + std::to_string(port));
  return opened;
}

// One datagram with the address of ours that it is from or to beside it.
struct Message {
  sockaddr_in peer{};
  std::array<std::uint8_t, 65'536> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  iovec part{};
  msghdr header{};

  explicit Message(std::size_t length) {
    part = {bytes.data(), length};
    header.msg_name = &peer;
    header.msg_namelen = sizeof peer;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
};

}  // namespace

UdpPorts::UdpPorts() : sockets_{open_port(ports[0]), open_port(ports[1])} {}

UdpPorts::~UdpPorts() {
  for (const int each : sockets_) close(each);
}

void UdpPorts::send(const ike::SendDatagram& datagram) const {
  const bool marked = datagram.from.port == net::natt_port;
  const std::size_t offset = marked ? marker_bytes : 0;
  static Message message(0);  // one thread, and too large for a stack frame each time
  if (offset + datagram.bytes.size() > message.bytes.size()) return;
  std::memset(message.bytes.data(), 0, offset);
  std::memcpy(message.bytes.data() + offset, datagram.bytes.data(), datagram.bytes.size());
  message.part.iov_len = offset + datagram.bytes.size();
  message.peer = socket_address(datagram.to.address, datagram.to.port);
  auto* from = CMSG_FIRSTHDR(&message.header);
  from->cmsg_level = IPPROTO_IP;
  from->cmsg_type = IP_PKTINFO;
  from->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_spec_dst.s_addr = htonl(datagram.from.address.v4_value());
  std::memcpy(CMSG_DATA(from), &info, sizeof info);
  (void)sendmsg(sockets_[marked ? 1 : 0], &message.header, 0);
}

void UdpPorts::receive(int timeout_ms, const std::function<void(ike::DatagramReceived)>& taker) const {
  std::array<pollfd, 2> ready{pollfd{sockets_[0], POLLIN, 0}, pollfd{sockets_[1], POLLIN, 0}};
  if (poll(ready.data(), ready.size(), timeout_ms) <= 0) return;
  static Message message(0);
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const std::size_t marker = i == 0 ? 0 : marker_bytes;
    for (unsigned count = 0; (ready[i].revents & POLLIN) != 0 && count < datagrams_a_call; ++count) {
      message.part.iov_len = message.bytes.size();
      message.header.msg_controllen = message.control.size();
      const auto length = recvmsg(sockets_[i], &message.header, 0);
      if (length < 0) break;
      const auto bytes = static_cast<std::size_t>(length);
      constexpr std::array<std::uint8_t, marker_bytes> zeros{};
      if (bytes < marker || std::memcmp(message.bytes.data(), zeros.data(), marker) != 0) continue;
      const auto* to = CMSG_FIRSTHDR(&message.header);
      if (to == nullptr || to->cmsg_type != IP_PKTINFO) continue;
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(to), sizeof info);
      taker({{net::Address::v4(ntohl(message.peer.sin_addr.s_addr)), ntohs(message.peer.sin_port)},
             {net::Address::v4(ntohl(info.ipi_addr.s_addr)), ports[i]},
             {message.bytes.data() + marker, message.bytes.data() + bytes}});
    }
  }
}

}  // namespace espgate::bench
