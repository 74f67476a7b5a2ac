#include "drivers/host/netlink_socket.hpp"

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace espgate::host {
namespace {

// The kernel fills dump answers up to 32 KiB when the reader offers it.
constexpr std::size_t buffer_bytes = 64 * 1024;

// The extended acknowledgement says in words what the errno only hints at.
std::string words_of(nlmsghdr* message, const nlmsgerr& error) {
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t skip = sizeof error;
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > sizeof(nlmsghdr))
    skip += error.msg.nlmsg_len - sizeof(nlmsghdr);
  std::array<nlattr*, NLMSGERR_ATTR_MAX + 1> attributes{};
  if (nlmsg_parse(message, static_cast<int>(skip), attributes.data(), NLMSGERR_ATTR_MAX, nullptr) < 0)
    return {};
  const nlattr* text = attributes[NLMSGERR_ATTR_MSG];
  if (text == nullptr) return {};
  const auto* begin = static_cast<const char*>(nla_data(text));
  return {begin, strnlen(begin, static_cast<std::size_t>(nla_len(text)))};
}

}  // namespace

Expected<NetlinkSocket> NetlinkSocket::open(std::initializer_list<int> groups, int receive_buffer_bytes,
                                            int protocol) {
  NetlinkSocket result(nl_socket_alloc());
  nl_sock* socket = result.socket_.get();
  if (socket == nullptr) return Error{"no memory for a netlink socket", "free some memory"};
  nl_socket_disable_seq_check(socket);
  if (const int code = nl_connect(socket, protocol); code < 0)
    return Error{std::string("cannot open a netlink socket: ") + nl_geterror(code),
                 "allow AF_NETLINK sockets (see RestrictAddressFamilies in the service unit)"};
  for (const int group : groups) {
    if (const int code = nl_socket_add_membership(socket, group); code < 0)
      return Error{"cannot follow netlink group " + std::to_string(group) + ": " + nl_geterror(code),
                   "espgate needs Linux 5.3 or later"};
  }
  // Only the forced variant may pass net.core.rmem_max; it needs CAP_NET_ADMIN.
  if (::setsockopt(result.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof(int)) != 0)
    ::setsockopt(result.fd(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(int));
  const int on = 1;
  ::setsockopt(result.fd(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  if (groups.size() != 0) nl_socket_set_nonblocking(socket);
  result.buffer_ = std::make_unique<std::byte[]>(buffer_bytes);
  return result;
}

int NetlinkSocket::send(nl_msg* request) {
  nl_complete_msg(socket_.get(), request);
  const nlmsghdr* header = nlmsg_hdr(request);
  return send({reinterpret_cast<const std::byte*>(header), header->nlmsg_len});
}

int NetlinkSocket::send(std::span<const std::byte> datagram) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto sent = ::sendto(fd(), datagram.data(), datagram.size(), 0,
                             reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  return sent < 0 ? errno : 0;
}

NetlinkSocket::Refusal NetlinkSocket::transact(nl_msg* request, const Visit& visit) {
  nlmsg_hdr(request)->nlmsg_flags |= NLM_F_ACK;
  if (const int code = send(request); code != 0) return {code, {}};
  const auto sequence = nlmsg_hdr(request)->nlmsg_seq;
  return await(sequence, sequence, 1, visit);
}

NetlinkSocket::Refusal NetlinkSocket::transact(std::span<const Message> requests) {
  std::vector<std::byte> datagram;
  unsigned acknowledgements = 0;
  for (const auto& request : requests) {
    nl_complete_msg(socket_.get(), request.get());
    const auto* header = nlmsg_hdr(request.get());
    if ((header->nlmsg_flags & NLM_F_ACK) != 0) ++acknowledgements;
    const auto at = datagram.size();
    datagram.resize(at + NLMSG_ALIGN(header->nlmsg_len));
    std::memcpy(datagram.data() + at, header, header->nlmsg_len);
  }
  if (const int code = send(datagram); code != 0) return {code, {}};
  return await(nlmsg_hdr(requests.front().get())->nlmsg_seq, nlmsg_hdr(requests.back().get())->nlmsg_seq,
               acknowledgements);
}

NetlinkSocket::Refusal NetlinkSocket::await(std::uint32_t first, std::uint32_t last,
                                            unsigned acknowledgements, const Visit& visit) {
  Refusal refusal;
  while (acknowledgements > 0 && refusal.code == 0) {
    const auto received = receive([&](nlmsghdr* message) {
      if (message->nlmsg_seq - first > last - first) return;
      if (message->nlmsg_type != NLMSG_ERROR) return visit ? visit(message) : void();
      if (!nlmsg_valid_hdr(message, sizeof(nlmsgerr)) || refusal.code != 0) return;
      nlmsgerr error;
      std::memcpy(&error, nlmsg_data(message), sizeof error);
      refusal = {-error.error, words_of(message, error)};
      --acknowledgements;
    });
    if (received == Received::failed || received == Received::overrun) return {EIO, {}};
  }
  return refusal;
}

NetlinkSocket::Received NetlinkSocket::receive(const Visit& visit) {
  sockaddr_nl sender{};
  socklen_t sender_bytes = sizeof sender;
  const auto bytes =
      ::recvfrom(fd(), buffer_.get(), buffer_bytes, 0, reinterpret_cast<sockaddr*>(&sender), &sender_bytes);
  if (bytes < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Received::nothing;
    if (errno == ENOBUFS) return Received::overrun;
    return errno == EINTR ? Received::message_batch : Received::failed;
  }
  // Only the kernel has port 0; other processes may write to us.
  if (sender.nl_pid != 0) return Received::message_batch;
  int left = static_cast<int>(bytes);
  for (auto* message = static_cast<nlmsghdr*>(static_cast<void*>(buffer_.get())); nlmsg_ok(message, left);
       message = nlmsg_next(message, &left))
    visit(message);
  return Received::message_batch;
}

}  // namespace espgate::host
