#include "datapath/worker/reassembly.hpp"

#include <rte_jhash.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "datapath/net/congestion.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/net/transport_headers.hpp"
#include "datapath/worker/packet.hpp"

namespace espgate::worker {
namespace {

// An IPv4 header with options, or an IPv6 header with some extension headers. What is longer is nobody's ESP.
constexpr std::size_t header_max = 256;

std::size_t unit_of(std::size_t bytes) {
  return bytes / 8;
}

}  // namespace

struct Reassembly::Part {
  Key key;
  std::size_t link_bytes = 0;    // before the IP header
  std::size_t header_bytes = 0;  // IP header and what stands before the payload, fragment header aside
  std::size_t next_header_at = 0;
  std::uint8_t next_header = 0;
  std::size_t payload = 0;  // offset in the frame
  std::size_t bytes = 0;
  std::size_t offset = 0;  // in the datagram's payload
  bool more = false;
  std::uint8_t congestion = 0;
};

Reassembly::Reassembly(std::uint32_t flows, std::uint64_t timeout_tsc, rte_mempool* large_buffers)
    : timeout_tsc_(timeout_tsc),
      large_buffers_(large_buffers),
      hash_seed_(static_cast<std::uint32_t>(rte_rand())),
      flows_(flows),
      buckets_(std::bit_ceil(flows), nobody) {
  for (std::uint32_t i = flows; i > 0; --i) flows_[i - 1].next = std::exchange(free_, i - 1);
}

Reassembly::~Reassembly() {
  for (auto& flow : flows_) rte_pktmbuf_free(flow.buffer);
}

// Undecided, or why the fragment is refused. Its headers lie in the first segment, as the parser saw to it.
Verdict Reassembly::read(const rte_mbuf& frame, const parse::FrameInfo& info, Part& part) {
  const auto* start = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, info.l3_offset);
  const std::size_t here = std::min<std::size_t>(info.l3_bytes, frame.data_len - std::size_t{info.l3_offset});
  const std::span ip(start, here);
  const auto malformed = by_family(info.family, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR);
  auto& key = part.key;
  key.family = info.family;
  part.congestion = net::traffic_class(start, info.family) & net::ecn_mask;
  std::size_t payload = 0;
  if (info.family == net::Family::v4) {
    const auto fragment = net::load_be16(ip, net::ipv4::fragment);
    part.header_bytes = payload = std::size_t{ip[0]} % 16 * 4;
    part.next_header_at = net::ipv4::protocol;
    part.next_header = key.protocol = ip[net::ipv4::protocol];
    part.offset = std::size_t{fragment} % 0x2000 * 8;
    part.more = (fragment & 0x2000) != 0;
    key.identification = net::load_be16(ip, net::ipv4::identification);
    std::memcpy(key.addresses.data(), &ip[net::ipv4::source], 8);
  } else {
    const auto header = net::fragment_header(ip);
    if (!header) return malformed;
    const auto offset = header->bytes;
    const auto fragment = net::load_be16(ip, offset + 2);
    part.header_bytes = offset;
    part.next_header_at = header->next_header_at;
    part.next_header = ip[offset];
    payload = offset + 8;
    part.offset = fragment & 0xfff8;
    part.more = (fragment & 1) != 0;
    key.identification = net::load_be32(ip, offset + 4);
    std::memcpy(key.addresses.data(), &ip[net::ipv6::source], 32);
  }
  if (payload >= info.l3_bytes || payload > ip.size()) return malformed;
  part.link_bytes = info.l3_offset;
  part.payload = info.l3_offset + payload;
  part.bytes = info.l3_bytes - payload;
  const std::size_t end = part.offset + part.bytes;
  if ((part.more && part.bytes % 8 != 0) || end > net::ip_packet_max) return malformed;
  if (end > payload_max)
    return by_family(info.family, Verdict::IN_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::IN_INFRA_V6_PKT_LEN_TOO_BIG);
  return Verdict::undecided;
}

Reassembly::Result Reassembly::add(const rte_mbuf& frame, const parse::FrameInfo& info, std::uint64_t now_tsc,
                                   Within within) {
  expire(now_tsc);
  const auto refused = by_family(info.family, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR);
  Part part;
  if (flows_.empty()) return {refused};
  if (const auto fault = read(frame, info, part); fault != Verdict::undecided) return {fault};
  part.key.within = within.what;
  part.key.owner = within.owner;
  const auto place_of_flow = find(part.key);
  Flow* flow = place_of_flow == nobody ? begin(part.key, now_tsc) : &flows_[place_of_flow];
  if (flow == nullptr) return {Verdict::PKT_BUFFER_UNAVAILABLE};
  if (flow->buffer == nullptr) return {refused};
  const auto result = place(*flow, part, frame);
  if (result.verdict != Verdict::REASSEMBLY_PART) {
    // Its key stays, so that what comes later of the datagram is not taken for the beginning of another.
    rte_pktmbuf_free(std::exchange(flow->buffer, nullptr));
    count_held(-1);
    return {refused};
  }
  return result;
}

std::size_t Reassembly::bucket_of(const Key& key) const {
  static_assert(std::has_unique_object_representations_v<Key>);
  return rte_jhash(&key, sizeof key, hash_seed_) & (buckets_.size() - 1);
}

std::uint32_t Reassembly::find(const Key& key) const {
  auto place = buckets_[bucket_of(key)];
  while (place != nobody && !(flows_[place].key == key)) place = flows_[place].next;
  return place;
}

// A place and a buffer for a datagram of which nothing is there yet. nullptr: no buffer.
Reassembly::Flow* Reassembly::begin(const Key& key, std::uint64_t now_tsc) {
  if (free_ == nobody) give_up(flows_[oldest_]);
  auto* buffer = large_buffers_ == nullptr ? nullptr : rte_pktmbuf_alloc(large_buffers_);
  if (buffer == nullptr) return nullptr;
  const auto place = free_;
  auto& flow = flows_[place];
  free_ = flow.next;
  auto& bucket = buckets_[bucket_of(key)];
  flow = Flow{.key = key, .buffer = buffer, .started_tsc = now_tsc, .next = bucket, .older = newest_};
  bucket = place;
  (newest_ == nobody ? oldest_ : flows_[newest_].newer) = place;
  newest_ = place;
  count_held(1);
  return &flow;
}

// Copies a part to its place in the datagram. Any verdict but REASSEMBLY_PART gives up the datagram.
Reassembly::Result Reassembly::place(Flow& flow, const Part& part, const rte_mbuf& frame) {
  const Result bad{Verdict::IN_V4_PKT_FRAG_ERR};
  const std::size_t end = part.offset + part.bytes;
  const bool last = !part.more;
  if (flow.total != 0 && (end > flow.total || (last && end != flow.total))) return bad;
  if (last && flow.end > end) return bad;

  const std::size_t first = unit_of(part.offset);
  const std::size_t next = unit_of(end + 7);
  std::size_t known = 0;
  for (auto unit = first; unit < next; ++unit) known += flow.arrived[unit];
  auto* room = static_cast<std::uint8_t*>(flow.buffer->buf_addr) + payload_at + part.offset;
  if (known != 0) {
    if (known != next - first || (last && flow.total == 0)) return bad;
    // The same again is harmless; anything else is an attempt to have two readers see two packets.
    for (std::size_t at = 0; at < part.bytes;) {
      std::uint8_t piece[256];
      const auto bytes = std::min(sizeof piece, part.bytes - at);
      const auto* again = rte_pktmbuf_read(&frame, static_cast<std::uint32_t>(part.payload + at),
                                           static_cast<std::uint32_t>(bytes), piece);
      if (again == nullptr || std::memcmp(room + at, again, bytes) != 0) return bad;
      at += bytes;
    }
    return {};
  }
  const auto* bytes = rte_pktmbuf_read(&frame, static_cast<std::uint32_t>(part.payload),
                                       static_cast<std::uint32_t>(part.bytes), room);
  if (bytes == nullptr) return bad;
  if (bytes != room) std::memcpy(room, bytes, part.bytes);
  if (part.offset == 0 && !take_header(flow, part, frame)) return bad;
  for (auto unit = first; unit < next; ++unit) flow.arrived.set(unit);
  flow.units += static_cast<unsigned>(next - first);
  flow.end = std::max(flow.end, end);
  flow.congestion_seen = static_cast<std::uint8_t>(flow.congestion_seen | 1 << part.congestion);
  flow.largest_part = std::max(flow.largest_part, part.payload + part.bytes - part.link_bytes);
  if (last) flow.total = end;
  if (flow.total == 0 || flow.header_bytes == 0 || flow.units != unit_of(flow.total + 7)) return {};
  // RFC 3168 5.3: a mark on any part marks the whole, and must not get lost on one that cannot carry it.
  constexpr unsigned not_capable = 1 << 0, congested = 1 << 3;
  if ((flow.congestion_seen & not_capable) != 0 && (flow.congestion_seen & congested) != 0) return bad;
  return {Verdict::REASSEMBLY_PART, finish(flow, part, frame)};
}

// The first part brings the IP header, which goes right before the payload. False: it is too long.
bool Reassembly::take_header(Flow& flow, const Part& part, const rte_mbuf& frame) {
  if (part.header_bytes > header_max) return false;
  flow.header_bytes = part.header_bytes;
  auto* header = static_cast<std::uint8_t*>(flow.buffer->buf_addr) + payload_at - part.header_bytes;
  std::memcpy(header, rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, part.link_bytes),
              part.header_bytes);
  header[part.next_header_at] = part.next_header;
  return true;
}

// All of it is there: an ordinary frame in one large buffer. Its link header is that of the part that came
// last, since it goes on from where that came in: parts may arrive by several ports.
rte_mbuf* Reassembly::finish(Flow& flow, const Part& part, const rte_mbuf& frame) {
  auto* buffer = std::exchange(flow.buffer, nullptr);
  const std::size_t headers_bytes = part.link_bytes + flow.header_bytes;
  const std::size_t frame_bytes = headers_bytes + flow.total;
  buffer->data_off = static_cast<std::uint16_t>(payload_at - headers_bytes);
  buffer->data_len = static_cast<std::uint16_t>(frame_bytes);
  buffer->pkt_len = static_cast<std::uint32_t>(frame_bytes);
  buffer->hash.usr = static_cast<std::uint32_t>(flow.largest_part);
  buffer->port = frame.port;
  buffer->vlan_tci = frame.vlan_tci;
  buffer->ol_flags = frame.ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
  auto* start = rte_pktmbuf_mtod(buffer, std::uint8_t*);
  std::memcpy(start, rte_pktmbuf_mtod(&frame, const std::uint8_t*), part.link_bytes);
  auto* ip = start + part.link_bytes;
  const std::size_t header_bytes = flow.header_bytes;
  const std::span packet(ip, header_bytes + flow.total);
  const auto family = flow.key.family;
  if ((flow.congestion_seen & 1 << 3) != 0) (void)net::take_in_congestion(net::ecn_experienced, ip, family);
  if (family == net::Family::v4) net::store_be16(packet, net::ipv4::fragment, 0);
  const std::size_t protocol_at = net::next_header_field(packet.first(header_bytes), family, header_bytes);
  net::rewrite_header(packet, family, header_bytes, protocol_at, ip[protocol_at]);
  count_held(-1);
  release(flow);
  return buffer;
}

void Reassembly::give_up(Flow& flow) {
  if (flow.buffer != nullptr) {
    ++given_up_[flow.key.family == net::Family::v4 ? 0 : 1];
    rte_pktmbuf_free(std::exchange(flow.buffer, nullptr));
    count_held(-1);
  }
  release(flow);
}

void Reassembly::release(Flow& flow) {
  const auto place = static_cast<std::uint32_t>(&flow - flows_.data());
  auto* link = &buckets_[bucket_of(flow.key)];
  while (*link != place) link = &flows_[*link].next;
  *link = flow.next;
  (flow.older == nobody ? oldest_ : flows_[flow.older].newer) = flow.newer;
  (flow.newer == nobody ? newest_ : flows_[flow.newer].older) = flow.older;
  flow.next = std::exchange(free_, place);
}

unsigned Reassembly::take_given_up(net::Family family) {
  return std::exchange(given_up_[family == net::Family::v4 ? 0 : 1], 0);
}

}  // namespace espgate::worker
