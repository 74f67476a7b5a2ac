// UDP ports 500 and 4500 of many IPv4 addresses at once: the namespace's kernel takes a whole network for its
// own (`ip route add local NETWORK dev lo`), and each datagram says which of them it is from or to.
#pragma once

#include <functional>

#include "control/ike/events.hpp"

namespace espgate::bench {

class UdpPorts {
 public:
  UdpPorts();  // throws std::system_error
  ~UdpPorts();
  UdpPorts(const UdpPorts&) = delete;
  UdpPorts& operator=(const UdpPorts&) = delete;

  // Lost, as any datagram, when the kernel has no room.
  void send(const ike::SendDatagram& datagram) const;
  // Waits up to so long for the first, then takes some dozens. ESP is passed over.
  void receive(int timeout_ms, const std::function<void(ike::DatagramReceived)>& taker) const;

 private:
  int sockets_[2];  // ports 500 and 4500
};

}  // namespace espgate::bench
