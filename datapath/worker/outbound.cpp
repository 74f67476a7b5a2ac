// Outbound ESP (RFC 4303 3.3), tunnel mode. The recipe, per packet:
//   1. the SA is active, and a sequence number is left (3.3.3)
//   2. the inner TTL is decremented where the packet is forwarded (RFC 4301 5.1.2)
//   3. padding 1, 2, 3, …, pad length, next header (2.4 to 2.6)
//   4. outer headers from the SA's template; DSCP and ECN copied (RFC 6040 normal mode)
//   5. encryption and ICV; IV = iv_base + sequence number, unique for the key (RFC 4106 3.1)
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/congestion.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

constexpr unsigned trailer_bytes = 2;
constexpr unsigned ip_packet_max = 65'535;

// Fills in what differs from packet to packet in the outer IP and UDP headers.
void complete_headers(std::span<std::uint8_t> outer, const sa::OutboundSa& sa, std::uint16_t packet_bytes,
                      std::uint8_t traffic_class) {
  std::size_t ip_bytes = net::ipv4_header_bytes;
  if (sa.outer_family == net::Family::v4) {
    outer[net::ipv4::tos] = traffic_class;
    net::store_be16(outer, net::ipv4::total_length, packet_bytes);
    net::store_be16(outer, net::ipv4::checksum, 0);
    net::store_be16(outer, net::ipv4::checksum, net::header_checksum(outer.first(net::ipv4_header_bytes)));
  } else {
    ip_bytes = net::ipv6_header_bytes;
    outer[0] = static_cast<std::uint8_t>(0x60 | (traffic_class >> 4));
    outer[1] = static_cast<std::uint8_t>((traffic_class << 4) | (outer[1] & 0x0f));
    net::store_be16(outer, net::ipv6::payload_length, static_cast<std::uint16_t>(packet_bytes - ip_bytes));
  }
  if (sa.encapsulation == sa::Encapsulation::udp)
    net::store_be16(outer, ip_bytes + 4, static_cast<std::uint16_t>(packet_bytes - ip_bytes));
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
    const std::uint64_t left = used < sa.sequence_limit ? sa.sequence_limit - used : 0;
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

}  // namespace

void Worker::encapsulate() {
  crypto_rows_.clear();
  for (const auto row : protect_) {
    const auto* sa = &shared_.sas->outbound(burst_.sa[row]);
    rte_prefetch0(sa);
    rte_prefetch0(sa->headers);
  }
  for (const auto row : protect_) {
    const auto& sa = shared_.sas->outbound(burst_.sa[row]);
    if (sa.state.load(std::memory_order_acquire) != sa::State::active) continue;
    for (const auto offset : hot_key_lines_[static_cast<std::size_t>(sa.suite)])
      rte_prefetch0(sa.key + offset);
    rte_prefetch0(&shared_.sas->outbound_usage(id_, burst_.sa[row]));
  }
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

// Packets [first, next) of protect_, all of one SA: their sequence numbers are claimed at once.
void Worker::encapsulate_run(unsigned first, unsigned next, std::uint32_t index) {
  auto& sa = shared_.sas->outbound(index);
  const auto state = sa.state.load(std::memory_order_acquire);
  const auto claim = state == sa::State::active ? claim_sequence(sa, next - first, exclusive_) : Claim{};
  std::uint64_t sequence = claim.first;
  for (unsigned i = first; i < next; ++i) {
    const auto row = protect_.row[i];
    const auto family = burst_.family[row];
    if (state != sa::State::active) {
      const bool starting = state == sa::State::larval;
      finish(row, starting ? by_family(family, Verdict::OUT_V4_PKT_HIT_IKE_START_SP,
                                       Verdict::OUT_V6_PKT_HIT_IKE_START_SP)
                           : by_family(family, Verdict::OUT_V4_PKT_HIT_INVALID_SA,
                                       Verdict::OUT_V6_PKT_HIT_INVALID_SA));
    } else if (i - first >= claim.count) {
      shared_.sas->outbound_faults(index).exhausted.fetch_add(1, std::memory_order_relaxed);
      finish(row, Verdict::OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW);
    } else if (encapsulate_packet(row, sa, sequence++)) {
      crypto_rows_.add(row);
    }
  }
}

// Steps 2 to 4, and the crypto operation. False: the packet has its verdict.
bool Worker::encapsulate_packet(unsigned row, sa::OutboundSa& sa, std::uint64_t sequence) {
  const auto family = burst_.family[row];
  if (!make_exclusive(row)) {
    finish(row, fits_one_buffer(row) ? Verdict::PKT_BUFFER_UNAVAILABLE
                                     : by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG,
                                                 Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return false;
  }
  if (burst_.origin[row] != Origin::host && !decrement_ttl(burst_.l3[row], family)) {
    finish(row, Verdict::TTL_EXPIRED);
    return false;
  }
  const auto& suite = crypto::suite(sa.suite);
  auto* mbuf = burst_.mbuf[row];
  const unsigned inner_bytes = mbuf->pkt_len;
  const unsigned pad_bytes = (0u - (inner_bytes + trailer_bytes)) & (suite.align_bytes - 1u);
  const unsigned front_bytes = sa.headers_bytes + suite.iv_bytes;
  const unsigned back_bytes = pad_bytes + trailer_bytes + suite.icv_bytes;
  const std::uint8_t traffic_class = net::traffic_class(burst_.l3[row], family);
  burst_.dont_fragment[row] = family == net::Family::v6 || (burst_.l3[row][net::ipv4::fragment] & 0x40) != 0;

  auto* back = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(back_bytes));
  auto* front =
      back == nullptr ? nullptr : rte_pktmbuf_prepend(mbuf, static_cast<std::uint16_t>(front_bytes));
  if (front == nullptr || mbuf->pkt_len > ip_packet_max) {
    finish(row,
           by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return false;
  }
  auto* trailer = reinterpret_cast<std::uint8_t*>(back);
  for (unsigned i = 0; i < pad_bytes; ++i) trailer[i] = static_cast<std::uint8_t>(i + 1);
  trailer[pad_bytes] = static_cast<std::uint8_t>(pad_bytes);
  trailer[pad_bytes + 1] = family == net::Family::v4 ? 4 : 41;

  auto* outer = reinterpret_cast<std::uint8_t*>(front);
  copy_headers<net::ipv4_header_bytes + net::esp_header_bytes>(outer, sa.headers, sa.headers_bytes);
  complete_headers({outer, sa.headers_bytes}, sa, static_cast<std::uint16_t>(mbuf->pkt_len), traffic_class);
  auto* esp = outer + sa.headers_bytes - net::esp_header_bytes;
  auto* iv = esp + net::esp_header_bytes;
  net::store_be32({esp, net::esp_header_bytes}, 4, static_cast<std::uint32_t>(sequence));
  net::store_be64({iv, 8}, 0, sa.iv_base + sequence);

  auto& operation = burst_.operations[crypto_rows_.count];
  operation.key = sa.key;
  operation.text = iv + suite.iv_bytes;
  operation.text_bytes = inner_bytes + pad_bytes + trailer_bytes;
  operation.icv = operation.text + operation.text_bytes;
  operation.suite = sa.suite;
  std::memcpy(operation.nonce, sa.salt, 4);
  std::memcpy(operation.nonce + 4, iv, 8);
  std::memcpy(operation.aad, esp, 4);
  if (sa.extended_sequence) {
    net::store_be64(operation.aad, 4, sequence);
    operation.aad_bytes = 12;
  } else {
    net::store_be32(operation.aad, 4, static_cast<std::uint32_t>(sequence));
    operation.aad_bytes = 8;
  }
  burst_.l3[row] = outer;
  burst_.inner_bytes[row] = static_cast<std::uint16_t>(inner_bytes);
  burst_.sequence[row] = sequence;
  burst_.family[row] = sa.outer_family;
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
    auto& usage = shared_.sas->outbound_usage(id_, burst_.sa[row]);
    add(usage.packets, 1);
    add(usage.bytes, burst_.inner_bytes[row]);
    burst_.origin[row] = Origin::encrypted;
    unrouted_.add(row);
  }
  clock_.end_stage(Stage::encrypt, crypto_rows_.count);
  tracer_.stage(burst_, Stage::encrypt, crypto_rows_);
}

}  // namespace espgate::worker
