#include "drivers/host/tap.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace espgate::host {
namespace {

constexpr const char* tun_path = "/dev/net/tun";

Error error_of(const std::string& doing, int code, std::string remedy) {
  return Error{doing + ": " + std::strerror(code), std::move(remedy)};
}

// The kernel would take "a%d" as a pattern and a name with '/' fails late and obscurely.
bool is_interface_name(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 127 && c != '/' && c != ':' && c != '%'; });
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
  return request;
}

Expected<Descriptor> open_tun() {
  Descriptor fd(::open(tun_path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd.is_open()) return fd;
  const int code = errno;
  const std::string doing = std::string("cannot open ") + tun_path;
  if (code == EACCES || code == EPERM)
    return error_of(doing, code, "run as root or give CAP_NET_ADMIN and access to the device");
  return error_of(doing, code, "load the driver with `modprobe tun`; in a container, pass the device in");
}

Expected<void> attach(const Descriptor& fd, const std::string& name, short layer) {
  ifreq request = request_for(name);
  // TUN_EXCL: never take over somebody else's interface.
  request.ifr_flags = static_cast<short>(layer | IFF_NO_PI | IFF_TUN_EXCL);
  if (::ioctl(fd.get(), TUNSETIFF, &request) == 0) return {};
  const int code = errno;
  const std::string doing =
      "cannot create the " + std::string(layer == IFF_TAP ? "TAP" : "tunnel") + " interface " + name;
  if (code == EPERM || code == EACCES) return error_of(doing, code, "run as root or give CAP_NET_ADMIN");
  if (code == EBUSY || code == EEXIST || (code == EINVAL && ::if_nametoindex(name.c_str()) != 0))
    return Error{
        doing + ": an interface of that name exists",
        "another espgated runs, or remove it with `ip link del " + name + "`, or rename the port or tunnel"};
  return error_of(doing, code, "");
}

Expected<void> set_mac(int control, const std::string& name, const Mac& mac) {
  ifreq request = request_for(name);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
  if (::ioctl(control, SIOCSIFHWADDR, &request) == 0) return {};
  return error_of("cannot give " + name + " the MAC address " + to_string(mac), errno,
                  "the port must have a unicast MAC address");
}

Expected<void> bring_up(int control, const std::string& name) {
  ifreq request = request_for(name);
  if (::ioctl(control, SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (::ioctl(control, SIOCSIFFLAGS, &request) == 0) return {};
  }
  return error_of("cannot bring up " + name, errno, "");
}

// The interface is a router's: it takes no address from advertisements, and a twin says that it is a router
// in its own (RFC 4861 7.2.4), or hosts forget every half minute what path MTUs they learned of it. The
// kernel itself forwards nothing for that; only the setting for all interfaces would make it. In a tunnel
// nobody asks, and reports of a router's multicast groups would be traffic. Duplicate address detection is
// off: it would hold back neighbour discovery for seconds after each start, and the link-local address
// derives from the port's MAC address, which no neighbour can share anyway. Where these files are absent or
// read-only (no IPv6, a container) the kernel's defaults serve too.
void set_ipv6_defaults(const std::string& name, bool tunnel) {
  const auto set = [&](const char* setting, char value) {
    const std::string path = "/proc/sys/net/ipv6/conf/" + name + "/" + setting;
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.is_open()) [[maybe_unused]]
      const auto written = ::write(file.get(), &value, 1);
  };
  for (const char* setting : {"accept_ra", "autoconf", "accept_dad"}) set(setting, '0');
  if (!tunnel) set("forwarding", '1');
}

}  // namespace

Expected<Tap> Tap::create(const Options& options) {
  if (!is_interface_name(options.name))
    return Error{"\"" + options.name + "\" cannot name an interface",
                 "use 1 to 15 printable characters without '/', ':' or '%'"};
  auto fd = open_tun();
  if (!fd) return fd.error();
  if (auto done = attach(*fd, options.name, options.tunnel ? IFF_TUN : IFF_TAP); !done) return done.error();
  Tap tap(std::move(fd).value(), options.name);

  const Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control.is_open()) return error_of("cannot open a control socket", errno, "");
  if (!options.tunnel)
    if (auto done = set_mac(control.get(), tap.name_, options.mac); !done) return done.error();
  if (auto done = tap.set_mtu(options.mtu); !done) return done.error();
  set_ipv6_defaults(tap.name_, options.tunnel);
  if (auto done = tap.set_carrier(options.carrier); !done) return done.error();
  if (auto done = bring_up(control.get(), tap.name_); !done) return done.error();
  tap.ifindex_ = static_cast<int>(::if_nametoindex(tap.name_.c_str()));
  return tap;
}

Expected<void> Tap::set_mtu(std::uint16_t mtu) {
  const Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name_);
  request.ifr_mtu = mtu;
  if (::ioctl(control.get(), SIOCSIFMTU, &request) == 0) return {};
  return error_of("cannot give " + name_ + " the MTU " + std::to_string(mtu), errno,
                  "set the port's or tunnel's mtu between 576 and 9000");
}

Expected<void> Tap::set_carrier(bool up) {
  int carrier = up ? 1 : 0;
  if (::ioctl(fd_.get(), TUNSETCARRIER, &carrier) == 0) return {};
  return error_of("cannot set the carrier of " + name_, errno, "espgate needs Linux 4.20 or later");
}

Expected<std::size_t> Tap::read(std::span<std::uint8_t> buffer) {
  const auto bytes = ::read(fd_.get(), buffer.data(), buffer.size());
  if (bytes >= 0) return static_cast<std::size_t>(bytes);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return error_of("cannot read from " + name_, errno, "somebody removed the interface: restart espgated");
}

Expected<void> Tap::write(std::span<const std::uint8_t> frame) {
  if (::write(fd_.get(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size())) return {};
  return error_of("cannot write to " + name_, errno, "see whether it is up: `ip link show " + name_ + "`");
}

}  // namespace espgate::host
