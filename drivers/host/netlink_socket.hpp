// An rtnetlink socket and the two ways of using it: a request answered at once, and a stream of notices.
#pragma once

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "datapath/base/expected.hpp"

namespace espgate::host {

struct SocketDeleter {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

// A request with the fixed header of its type, ready for attributes. Never empty.
template <typename Header>
Message make_request(int type, int flags, const Header& header) {
  Message message(nlmsg_alloc_simple(type, flags | NLM_F_REQUEST));
  Header copy = header;
  if (!message || nlmsg_append(message.get(), &copy, sizeof copy, NLMSG_ALIGNTO) < 0) std::terminate();
  return message;
}

// Control thread only.
class NetlinkSocket {
 public:
  static constexpr int answer_bytes = 64 * 1024;  // receive buffer of who only asks and waits for answers

  // Joins the multicast `groups`. With groups the socket is non-blocking. `protocol`: NETLINK_ROUTE, if not
  // said otherwise.
  static Expected<NetlinkSocket> open(std::initializer_list<int> groups, int receive_buffer_bytes,
                                      int protocol = NETLINK_ROUTE);

  int fd() const { return nl_socket_get_fd(socket_.get()); }

  // Sends a request without waiting. Returns 0 or an errno.
  int send(nl_msg* request);

  struct Refusal {
    int code = 0;        // errno, 0: done
    std::string kernel;  // the kernel's own words, if it gave any
  };
  using Visit = std::function<void(nlmsghdr*)>;
  // Sends and waits for the kernel's acknowledgement, which it gives before the send returns. `visit` gets
  // what the kernel says in front of it.
  Refusal transact(nl_msg* request, const Visit& visit = {});
  // The same for several that the kernel takes as one: waits for those that ask for an acknowledgement
  // (NLM_F_ACK), or for the first that is refused.
  Refusal transact(std::span<const Message> requests);

  enum class Received { message_batch, nothing, overrun, failed };
  // One datagram from the kernel: `visit` gets each message in it.
  Received receive(const Visit& visit);

 private:
  explicit NetlinkSocket(nl_sock* socket) : socket_(socket) {}
  int send(std::span<const std::byte> datagram);
  // For that many acknowledgements of requests with these sequence numbers, or the first refusal.
  Refusal await(std::uint32_t first, std::uint32_t last, unsigned acknowledgements, const Visit& visit = {});

  std::unique_ptr<nl_sock, SocketDeleter> socket_;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace espgate::host
