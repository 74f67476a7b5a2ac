#include "control/sa/nat_keepalive.hpp"

#include "datapath/net/headers.hpp"
#include "datapath/sa/peer_address.hpp"

namespace espgate::sa {

NatKeepalive::NatKeepalive(const OutboundSa& sa) {
  const bool v4 = sa.outer_family == net::Family::v4;
  const std::size_t ip_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  constexpr std::uint16_t udp_bytes = net::udp_header_bytes + 1;
  size_ = ip_bytes + udp_bytes;
  load_shared(bytes_.data(), sa.headers, ip_bytes + net::udp_header_bytes);
  bytes_[size_ - 1] = 0xff;
  const std::span packet = std::span(bytes_).first(size_);
  const auto datagram = packet.subspan(ip_bytes);
  net::store_be16(datagram, 4, udp_bytes);
  if (v4) {
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(size_));
    net::store_be16(packet, net::ipv4::checksum, net::header_checksum(packet.first(ip_bytes)));
  } else {
    net::store_be16(packet, net::ipv6::payload_length, udp_bytes);
    net::store_be16(datagram, 6,
                    net::upper_checksum(packet.subspan(net::ipv6::source, 32), net::protocol_udp, datagram));
  }
}

}  // namespace espgate::sa
