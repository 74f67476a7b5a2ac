// Transport mode (RFC 4303 3.1.1): ESP between the IP header and what it carries, for packets of the
// gateway's own. Outbound the header moves forward to make room, inbound it moves back to close the gap.
//
// A peer that is followed keeps its first address for our kernel, whose connections go by it, and for
// policies: packets have the one where it is between the peer and us only.
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/transport_headers.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// Only packets between the SA's own two ends (RFC 4301 4.1). Of a peer that may have moved policy has known
// the address.
bool between_ends(const sa::OutboundSa& sa, const std::uint8_t* ip, net::Family family) {
  if (sa.outer_family != family) return false;
  const std::size_t bytes = family == net::Family::v4 ? 4 : 16;
  std::uint8_t ends[32];  // source and destination lie side by side
  sa::load_shared(ends, source_of(sa.headers, family), 2 * bytes);
  return std::memcmp(source_of(ip, family), ends, sa.track_peer ? bytes : 2 * bytes) == 0;
}

// A NAT between the ends has changed addresses that TCP's and UDP's checksums cover. The ICV vouches for the
// bytes, so the checksum is made anew (RFC 3948 3.1.2).
void renew_checksum(std::uint8_t* ip, net::Family family, std::size_t header_bytes, std::size_t bytes,
                    std::uint8_t protocol) {
  const std::size_t at = protocol == net::protocol_tcp ? 16 : 6;
  const std::size_t least = protocol == net::protocol_tcp ? 20 : net::udp_header_bytes;
  if ((protocol != net::protocol_tcp && protocol != net::protocol_udp) || bytes < header_bytes + least)
    return;
  auto* upper = ip + header_bytes;
  const std::span field(upper + at, 2);
  if (protocol == net::protocol_udp && family == net::Family::v4 && net::load_be16(field, 0) == 0) return;
  net::store_be16(field, 0, 0);
  const auto addresses = std::span(source_of(ip, family), family == net::Family::v4 ? 8 : 32);
  net::store_be16(field, 0, net::upper_checksum(addresses, protocol, {upper, bytes - header_bytes}));
}

}  // namespace

// Returns the ESP header, or nullptr when the packet has its verdict.
std::uint8_t* Worker::insert_esp(unsigned row, const sa::OutboundSa& sa) {
  const auto family = burst_.family[row];
  auto* mbuf = burst_.mbuf[row];
  if (!between_ends(sa, burst_.l3[row], family)) {
    finish(row, by_family(family, Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
                          Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL));
    return nullptr;
  }
  if (burst_.info[row].fragment) {
    finish(row, Verdict::OUT_TRANSPORT_FRAGMENT);
    return nullptr;
  }
  const auto end = net::esp_position({burst_.l3[row], mbuf->pkt_len}, family);
  const std::uint8_t protocol = burst_.l3[row][end.next_header_at];
  const std::size_t ip_bytes = family == net::Family::v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  const std::size_t address_bytes = family == net::Family::v4 ? 4 : 16;  // the destination's, at the end
  const std::size_t headers_bytes = sa.headers_bytes - ip_bytes;         // [UDP] and ESP
  const auto front_bytes = static_cast<std::uint16_t>(headers_bytes + crypto::suite(sa.suite).iv_bytes);
  auto* front = add_trailer(row, sa, mbuf->pkt_len - static_cast<unsigned>(end.bytes), protocol)
                    ? reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(mbuf, front_bytes))
                    : nullptr;
  if (front == nullptr || mbuf->pkt_len > net::ip_packet_max) {
    finish(row,
           by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return nullptr;
  }
  std::memmove(front, burst_.l3[row], end.bytes);
  if (sa.track_peer)
    sa::load_shared(front + (ip_bytes - address_bytes), sa.headers + (ip_bytes - address_bytes),
                    address_bytes);
  const std::span ip(front, mbuf->pkt_len);
  const bool udp = sa.encapsulation == sa::Encapsulation::udp;
  if (cut_on_way(sa)) ip[net::ipv4::fragment] = 0;
  // The kernel counts without knowing of packets in tunnel mode between the same two.
  if (family == net::Family::v4 && (ip[net::ipv4::fragment] & 0x40) == 0)
    net::store_be16(ip, net::ipv4::identification, identifications_.next4(&ip[net::ipv4::source]));
  net::rewrite_header(ip, family, end.bytes, end.next_header_at, udp ? net::protocol_udp : net::protocol_esp);
  sa::load_shared(front + end.bytes, sa.headers + ip_bytes, headers_bytes);
  if (udp) net::store_be16(ip, end.bytes + 4, static_cast<std::uint16_t>(ip.size() - end.bytes));
  burst_.l3[row] = front;
  return front + end.bytes + headers_bytes - net::esp_header_bytes;
}

// The mbuf holds the decrypted payload alone; `header` is the IP header as it came, `header_bytes` long,
// further to the front in the same buffer. Makes the packet whole again.
void Worker::rejoin_header(unsigned row, const sa::InboundSa& sa, const std::uint8_t* header,
                           std::size_t header_bytes, std::uint8_t protocol) {
  auto* mbuf = burst_.mbuf[row];
  const auto family = burst_.family[row];
  const auto field = net::next_header_field({header, header_bytes}, family, header_bytes);
  auto* ip = burst_.l3[row] - header_bytes;  // there is room: the header stood further to the front
  (void)rte_pktmbuf_prepend(mbuf, static_cast<std::uint16_t>(header_bytes));
  std::memmove(ip, header, header_bytes);
  if (sa.track_peer)
    std::memcpy(ip + (family == net::Family::v4 ? net::ipv4::source : net::ipv6::source), sa.selector.source,
                family == net::Family::v4 ? 4 : 16);
  burst_.l3[row] = ip;
  net::rewrite_header({ip, mbuf->pkt_len}, family, header_bytes, field, protocol);
  if (sa.encapsulation == sa::Encapsulation::udp)
    renew_checksum(ip, family, header_bytes, mbuf->pkt_len, protocol);
}

}  // namespace espgate::worker
