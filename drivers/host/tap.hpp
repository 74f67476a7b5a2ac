// The TAP twin of a port: a kernel interface with the port's MAC address. Frames for the kernel are
// written into it; frames that the kernel sends come out of it and belong on the wire.
//
// Or the link of a tunnel (IFF_TUN): what goes in and out are whole IP packets.
//
// Purpose: the kernel keeps ARP, neighbour discovery, ICMP, routing daemons and ssh.
// Non-goals: no VLAN tag (the port adds and strips it), no offloads (frames carry finished checksums),
// no counters (whoever moves a frame gives it its verdict).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "datapath/base/expected.hpp"
#include "drivers/host/descriptor.hpp"
#include "drivers/host/mac.hpp"

namespace espgate::host {

// Control thread only. The interface lives in the network namespace of the thread that created it and
// goes when the object goes, also when the process dies.
class Tap {
 public:
  struct Options {
    std::string name;          // 1 to 15 characters, as `ip link` shows it
    Mac mac{};                 // the port's
    std::uint16_t mtu = 1500;  // largest IP packet, bytes
    bool tunnel = false;       // a tunnel's link, without a MAC address
    bool carrier = false;  // has one from the beginning: one that comes later takes the kernel up to a second
  };

  // Makes the interface and brings it up. Errors: a name the kernel does not take or already has, missing
  // rights, no /dev/net/tun, a MAC or MTU it refuses.
  static Expected<Tap> create(const Options& options);

  // Lets the twin's carrier (IFF_RUNNING) follow the port's link, so that routing daemons see it.
  Expected<void> set_carrier(bool up);

  // The next frame that the kernel sends, from its destination address on, without FCS. Returns its
  // bytes, 0 if none waits. A frame longer than `buffer` is cut: give MTU + 18 bytes or more.
  Expected<std::size_t> read(std::span<std::uint8_t> buffer);

  Expected<void> set_mtu(std::uint16_t mtu);

  // Hands the kernel one frame as if it had arrived from the wire.
  Expected<void> write(std::span<const std::uint8_t> frame);

  int fd() const { return fd_.get(); }  // readable when a frame waits
  int ifindex() const { return ifindex_; }
  const std::string& name() const { return name_; }

 private:
  Tap(Descriptor fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Descriptor fd_;
  std::string name_;
  int ifindex_ = 0;
};

}  // namespace espgate::host
