// Outbound ESP (RFC 4303 3.3). The recipe, per packet:
//   1. the SA is active, is for such a packet if no policy said so (RFC 4301 5.1), and a sequence number is
//      left (3.3.3)
//   2. tunnel mode: the inner TTL is decremented where the packet is forwarded (RFC 4301 5.1.2)
//   3. padding 1, 2, 3, …, pad length, next header (2.4 to 2.6); before them, if the SA wants it, padding
//   that
//      hides the inner length (2.7)
//   4. tunnel mode: outer headers from the SA's template; DSCP, ECN, DF and flow label as the SA says
//      (RFC 4301 5.1.2, RFC 6040, RFC 6438); transport mode: ESP behind the IP header (transport.cpp)
//   5. encryption and ICV; IV = iv_base + sequence number, unique for the key (RFC 4106 3.1); for CBC the
//      engine makes an unpredictable one of it (RFC 3602 3)
//   6. the SA's lifetime has room for the packet (RFC 4301 4.4.2.1)
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/congestion.hpp"
#include "datapath/net/siphash.hpp"
#include "datapath/sa/esp_operation.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/selectors.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// A label for the flow that the inner packet belongs to (RFC 6438 3): the same for all its packets. It goes
// over the network in clear, so it is a keyed hash: nobody without `secret` can tell whether a guess of the
// inner addresses is right.
std::uint32_t flow_label(const net::SipKey& secret, std::uint32_t spi, const std::uint8_t* inner,
                         net::Family family) {
  net::SipHash13 hash(secret);
  if (family == net::Family::v4) {
    hash.add(source_of(inner, family));  // both addresses
  } else {
    for (unsigned at = net::ipv6::source; at < net::ipv6_header_bytes; at += 8) hash.add(inner + at);
  }
  const std::uint32_t label = family == net::Family::v6 ? net::load_be32({inner, 4}, 0) & 0xf'ffff : 0;
  return static_cast<std::uint32_t>(hash.finish(std::uint64_t{label} << 32 | spi) >> 44);
}

// Fills in what differs from packet to packet in the outer IP and UDP headers.
void complete_headers(std::span<std::uint8_t> outer, const sa::OutboundSa& sa,
                      const net::SipKey& label_secret, std::uint16_t packet_bytes, const std::uint8_t* inner,
                      net::Family family, bool dont_fragment, bool cut_later,
                      Identifications& identifications) {
  const auto copied = static_cast<std::uint8_t>(net::traffic_class(inner, family) & sa.traffic_class_mask);
  std::size_t ip_bytes = net::ipv4_header_bytes;
  if (sa.outer_family == net::Family::v4) {
    outer[net::ipv4::tos] |= copied;
    net::store_be16(outer, net::ipv4::total_length, packet_bytes);
    if (sa.outer.copy_df && dont_fragment) outer[net::ipv4::fragment] = 0x40;
    if (cut_later) outer[net::ipv4::fragment] = 0;
    // With DF set a packet is atomic and needs no identification (RFC 6864 4.1).
    if (outer[net::ipv4::fragment] == 0)
      net::store_be16(outer, net::ipv4::identification, identifications.next4(&outer[net::ipv4::source]));
    net::store_be16(outer, net::ipv4::checksum, net::header_checksum(outer.first(net::ipv4_header_bytes)));
  } else {
    ip_bytes = net::ipv6_header_bytes;
    const std::uint32_t label = sa.outer.flow_label ? flow_label(label_secret, sa.spi, inner, family) : 0;
    net::store_be32(outer, 0, net::load_be32(outer, 0) | std::uint32_t{copied} << 20 | label);
    net::store_be16(outer, net::ipv6::payload_length, static_cast<std::uint16_t>(packet_bytes - ip_bytes));
  }
  if (sa.encapsulation == sa::Encapsulation::udp)
    net::store_be16(outer, ip_bytes + 4, static_cast<std::uint16_t>(packet_bytes - ip_bytes));
}

// For suites that have not the usual eight bytes: the null cipher has none, CBC a whole block.
[[gnu::noinline]] void write_unusual_iv(std::uint8_t* iv, unsigned iv_bytes, std::uint64_t value) {
  if (iv_bytes != 16) return;
  net::store_be64({iv, 16}, 0, 0);
  net::store_be64({iv, 16}, 8, value);
}

struct Claim {
  std::uint64_t first = 0;
  unsigned count = 0;
};

// Takes `wanted` sequence numbers, or as many as are left. The counter never passes the limit, so that a
// number is never given out twice however long an exhausted SA goes on being asked.
Claim claim_sequence(sa::OutboundSa& sa, unsigned wanted, bool exclusive) {
  std::uint64_t used = sa.sequence.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t limit = sa.sequence_limit.load(std::memory_order_relaxed);
    const std::uint64_t left = used < limit ? limit - used : 0;
    const unsigned count = left < wanted ? static_cast<unsigned>(left) : wanted;
    if (exclusive) {
      sa.sequence.store(used + count, std::memory_order_relaxed);
      return {used + 1, count};
    }
    // One exchange a run of packets: contention is rare, and the loser's second try mostly succeeds.
    if (sa.sequence.compare_exchange_weak(used, used + count, std::memory_order_relaxed))
      return {used + 1, count};
  }
}

// How much to put behind the inner packet, so that its length does not show: no more than what keeps it whole
// on its way, and in its buffer.
[[gnu::noinline]] unsigned confidentiality_padding(const sa::OutboundSa& sa, const rte_mbuf& mbuf) {
  const auto& suite = crypto::suite(sa.suite);
  const unsigned inner_bytes = mbuf.pkt_len;
  const unsigned path_mtu = sa.path_mtu.load(std::memory_order_relaxed);
  const bool to_path = sa.tfc_bytes == sa::tfc_to_path_mtu;
  if (to_path && path_mtu == sa::path_mtu_unknown) return 0;
  const unsigned trailer_room = suite.align_bytes + trailer_bytes + suite.icv_bytes;
  const unsigned tail_room = rte_pktmbuf_tailroom(&mbuf);
  if (tail_room < trailer_room) return 0;
  const unsigned largest = std::min(sa::EspSizes(sa.headers_bytes, suite).largest_payload(path_mtu),
                                    inner_bytes + tail_room - trailer_room);
  const unsigned wanted =
      to_path ? largest : std::min(largest, (inner_bytes + sa.tfc_bytes - 1U) / sa.tfc_bytes * sa.tfc_bytes);
  return wanted - std::min(wanted, inner_bytes);
}

// Why nothing can be sent under an SA in this state.
Verdict not_active(sa::State state, net::Family family) {
  switch (state) {
    case sa::State::larval:
      return by_family(family, Verdict::OUT_V4_PKT_HIT_IKE_START_SP, Verdict::OUT_V6_PKT_HIT_IKE_START_SP);
    case sa::State::expired:
      return Verdict::OUT_CD_SW_IPSEC_HARD_EXPIRY;
    case sa::State::active:
    case sa::State::retired:
      break;
  }
  return by_family(family, Verdict::OUT_V4_PKT_HIT_INVALID_SA, Verdict::OUT_V6_PKT_HIT_INVALID_SA);
}

}  // namespace

void Worker::encapsulate() {
  crypto_rows_.clear();
  for (const auto row : protect_) {
    const auto* sa = &shared_.sas->outbound(burst_.sa[row]);
    rte_prefetch0(sa);
    rte_prefetch0(sa->headers);
  }
  unsigned kept = 0;
  for (const auto row : protect_) {
    const auto& sa = shared_.sas->outbound(burst_.sa[row]);
    const bool active = sa.state.load(std::memory_order_acquire) == sa::State::active;
    if (active && ((sa.selectors != nullptr && !fits_selectors(row, sa)) || !fits_path(row, sa))) continue;
    protect_.row[kept++] = row;
    if (!active) continue;
    for (const auto offset : hot_key_lines_[static_cast<std::size_t>(sa.suite)])
      rte_prefetch0(sa.key + offset);
    rte_prefetch0(&shared_.sas->outbound_usage(id_, burst_.sa[row]));
  }
  protect_.count = kept;
  for (unsigned first = 0; first < protect_.count;) {
    const auto index = burst_.sa[protect_.row[first]];
    unsigned next = first + 1;
    while (next < protect_.count && burst_.sa[protect_.row[next]] == index) ++next;
    encapsulate_run(first, next, index);
    first = next;
  }
  clock_.end_stage(Stage::encapsulate, protect_.count);
  tracer_.stage(burst_, Stage::encapsulate, crypto_rows_);
}

// Of an SA that a route leads to: the peer would drop what its selectors do not take. Pieces of a packet are
// like the whole. False: it has its verdict.
bool Worker::fits_selectors(unsigned row, const sa::OutboundSa& sa) {
  if (cutting_) return true;
  const auto* mbuf = burst_.mbuf[row];
  const auto fit = judge(*sa.selectors, Way::out, burst_.family[row],
                         {burst_.l3[row], std::min<std::size_t>(mbuf->pkt_len, mbuf->data_len)});
  if (fit == sa::Fit::inside) return true;
  if (fit == sa::Fit::unknown && is_inner_part(row)) {
    finish(row, rejoin(row, Onward::sa));
    return false;
  }
  if (burst_.tunnel[row] != tunnel::no_tunnel) count_tunnel_drop(row);
  finish(row, fit == sa::Fit::unknown ? Verdict::SELECTOR_FIELDS_OPAQUE : Verdict::OUT_SELECTOR_MISMATCH);
  return false;
}

// Packets [first, next) of protect_, all of one SA: their sequence numbers are claimed at once.
void Worker::encapsulate_run(unsigned first, unsigned next, std::uint32_t index) {
  auto& sa = shared_.sas->outbound(index);
  const auto state = sa.state.load(std::memory_order_acquire);
  const auto claim = state == sa::State::active ? claim_sequence(sa, next - first, exclusive_) : Claim{};
  std::uint64_t sequence = claim.first;
  for (unsigned i = first; i < next; ++i) {
    const auto row = protect_.row[i];
    if (state != sa::State::active) {
      if (state == sa::State::expired) tell_lifetime(row, sa::LifetimeStage::hard);
      finish(row, not_active(state, burst_.family[row]));
    } else if (i - first >= claim.count) {
      finish(row, Verdict::OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW);
    } else if (encapsulate_packet(row, sa, sequence++)) {
      crypto_rows_.add(row);
    }
  }
}

// Steps 2 to 4, and the crypto operation. False: the packet has its verdict.
bool Worker::encapsulate_packet(unsigned row, sa::OutboundSa& sa, std::uint64_t sequence) {
  if (!make_exclusive(row)) {
    finish(row, copy_fault(row));
    return false;
  }
  burst_.inner_bytes[row] = static_cast<std::uint16_t>(burst_.mbuf[row]->pkt_len);
  auto* esp = sa.mode == sa::Mode::tunnel ? wrap_packet(row, sa) : insert_esp(row, sa);
  if (esp == nullptr) return false;

  const auto& suite = crypto::suite(sa.suite);
  const unsigned iv_bytes = suite.iv_bytes;
  auto* iv = esp + net::esp_header_bytes;
  net::store_be32({esp, net::esp_header_bytes}, 4, static_cast<std::uint32_t>(sequence));
  if (iv_bytes == 8) [[likely]]
    net::store_be64({iv, 8}, 0, sa.iv_base + sequence);
  else
    write_unusual_iv(iv, iv_bytes, sa.iv_base + sequence);
  const auto* end = rte_pktmbuf_mtod_offset(burst_.mbuf[row], std::uint8_t*, burst_.mbuf[row]->pkt_len);
  const auto text_bytes = static_cast<std::uint32_t>(end - suite.icv_bytes - iv - iv_bytes);
  sa::describe_esp(burst_.operations[crypto_rows_.count], sa, esp, iv_bytes, text_bytes, sequence);
  burst_.sequence[row] = sequence;
  burst_.family[row] = sa.outer_family;
  return true;
}

// Tunnel mode: trailer, outer headers and room for the IV around the packet. Returns the ESP header, or
// nullptr when the packet has its verdict.
std::uint8_t* Worker::wrap_packet(unsigned row, const sa::OutboundSa& sa) {
  const auto family = burst_.family[row];
  if (burst_.origin[row] != Origin::host && !decrement_ttl(burst_.l3[row], family)) {
    refuse_to_route(row, Verdict::TTL_EXPIRED, net::Refusal::Why::hop_limit);
    return nullptr;
  }
  auto* mbuf = burst_.mbuf[row];
  auto* inner = burst_.l3[row];
  burst_.dont_fragment[row] =
      !burst_.fragment_outer[row] && (family == net::Family::v6 || (inner[net::ipv4::fragment] & 0x40) != 0);
  const auto front_bytes = static_cast<std::uint16_t>(sa.headers_bytes + crypto::suite(sa.suite).iv_bytes);
  const std::uint8_t protocol = burst_.origin[row] == Origin::dummy ? net::protocol_none
                                : family == net::Family::v4         ? net::protocol_ipv4
                                                                    : net::protocol_ipv6;
  const unsigned tfc_bytes = sa.tfc_bytes == 0 ? 0 : confidentiality_padding(sa, *mbuf);
  auto* outer = add_trailer(row, sa, mbuf->pkt_len, protocol, tfc_bytes)
                    ? reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(mbuf, front_bytes))
                    : nullptr;
  if (outer == nullptr || mbuf->pkt_len > net::ip_packet_max) {
    finish(row,
           by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return nullptr;
  }
  if (sa.track_peer) [[unlikely]]
    sa::load_shared(outer, sa.headers, sa.headers_bytes);
  else
    copy_headers<net::ipv4_header_bytes + net::esp_header_bytes>(outer, sa.headers, sa.headers_bytes);
  complete_headers({outer, sa.headers_bytes}, sa, shared_.sas->label_secret(),
                   static_cast<std::uint16_t>(mbuf->pkt_len), inner, family, burst_.dont_fragment[row],
                   burst_.fragment_outer[row] || cut_on_way(sa), identifications_);
  burst_.l3[row] = outer;
  return outer + sa.headers_bytes - net::esp_header_bytes;
}

// Zeros that hide the length, padding 1, 2, 3, …, pad length, next header, and room for the ICV, behind
// `payload_bytes` of text. False: no room in the buffer.
bool Worker::add_trailer(unsigned row, const sa::OutboundSa& sa, unsigned payload_bytes,
                         std::uint8_t protocol, unsigned tfc_bytes) {
  const auto& suite = crypto::suite(sa.suite);
  const unsigned pad_bytes = (0u - (payload_bytes + tfc_bytes + trailer_bytes)) & (suite.align_bytes - 1u);
  auto* trailer = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(
      burst_.mbuf[row], static_cast<std::uint16_t>(tfc_bytes + pad_bytes + trailer_bytes + suite.icv_bytes)));
  if (trailer == nullptr) return false;
  if (tfc_bytes != 0) [[unlikely]] {
    std::memset(trailer, 0, tfc_bytes);
    trailer += tfc_bytes;
  }
  for (unsigned i = 0; i < pad_bytes; ++i) trailer[i] = static_cast<std::uint8_t>(i + 1);
  trailer[pad_bytes] = static_cast<std::uint8_t>(pad_bytes);
  trailer[pad_bytes + 1] = protocol;
  return true;
}

void Worker::encrypt() {
  if (crypto_rows_.count == 0) return;
  crypto_->seal({burst_.operations.data(), crypto_rows_.count});
  unsigned k = 0;
  for (const auto row : crypto_rows_) {
    const auto& operation = burst_.operations[k++];
    if (operation.status != crypto::Status::ok) {
      finish(row, Verdict::CRYPTO_DEVICE_IPSEC_STOP);
      continue;
    }
    if (shared_.sas->outbound(burst_.sa[row]).limited && !within_lifetime(row, burst_.inner_bytes[row])) {
      finish(row, Verdict::OUT_CD_SW_IPSEC_HARD_EXPIRY);
      continue;
    }
    if (burst_.family[row] == net::Family::v6) finish_udp6(row, operation.text);
    count_use(shared_.sas->outbound_usage(id_, burst_.sa[row]), burst_.inner_bytes[row], burst_.tsc);
    burst_.origin[row] = Origin::encrypted;
    unrouted_.add(row);
  }
  clock_.end_stage(Stage::encrypt, crypto_rows_.count);
  tracer_.stage(burst_, Stage::encrypt, crypto_rows_);
}

// Unlike over IPv4 the UDP checksum is mandatory here (RFC 8200 8.1), and peers drop packets without it
// unless they were told to expect them (RFC 6936). It covers the ciphertext, so it comes last.
void Worker::finish_udp6(unsigned row, std::uint8_t* text) {
  const auto& sa = shared_.sas->outbound(burst_.sa[row]);
  if (sa.encapsulation != sa::Encapsulation::udp) return;
  auto* udp = text - crypto::suite(sa.suite).iv_bytes - net::esp_header_bytes - net::udp_header_bytes;
  const std::span datagram(udp, net::load_be16({udp + 4, 2}, 0));
  const std::span addresses(source_of(burst_.l3[row], net::Family::v6), 32);
  net::store_be16(datagram, 6, net::upper_checksum(addresses, net::protocol_udp, datagram));
}

}  // namespace espgate::worker
