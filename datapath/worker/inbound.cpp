// Inbound ESP (RFC 4303 3.4): SPI lookup, replay check, integrity and decryption, replay commit, trailer,
// selectors. The recipe, per packet:
//   1. SPI -> SA; not found, larval or retired: missed.cpp
//   2. outer addresses, encapsulation and lengths agree with the SA
//   3. sequence number is in the window and new (3.4.3)
//   4. ICV is good and the text decrypted (3.4.4, RFC 4106)
//   5. the window is moved; of two packets with one number, exactly one passes
//   6. pad length, padding, next header; dummy packets are consumed (2.6)
//   7. tunnel mode: inner header is sound, congestion marks of the outer one are taken in (RFC 6040 4.2);
//      transport mode: the IP header is put back in front (transport.cpp)
//   8. the packet is within the SA's selectors (RFC 4301 5.2)
//   9. the SA's lifetime has room for it (RFC 4301 4.4.2.1)
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/congestion.hpp"
#include "datapath/parse/icmp_error.hpp"
#include "datapath/sa/esp_operation.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/selectors.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// The destination is ours, and the source the peer's. A peer that may move is known by its keys alone.
bool same_addresses(const sa::InboundSa& sa, const std::uint8_t* ip, net::Family family) {
  if (sa.outer_family != family) return false;
  if (sa.track_peer)
    return std::memcmp(destination_of(ip, family), sa.destination, family == net::Family::v4 ? 4 : 16) == 0;
  // IPv4 source and destination lie side by side in the header; the SA keeps them apart.
  if (family == net::Family::v4)
    return std::memcmp(ip + 12, sa.source, 4) == 0 && std::memcmp(ip + 16, sa.destination, 4) == 0;
  return std::memcmp(ip + 8, sa.source, 16) == 0 && std::memcmp(ip + 24, sa.destination, 16) == 0;
}

// Whether the SA may carry the inner packet. Nearly all SAs are for two networks, which is told without
// reading the packet further.
sa::Fit judge(const sa::InboundSa& sa, net::Family family, std::span<const std::uint8_t> inner) {
  const auto* source = source_of(inner.data(), family);
  const auto* destination = destination_of(inner.data(), family);
  if (sa::matches(sa.selector, family, source, destination)) return sa::Fit::inside;
  return sa.more == nullptr ? sa::Fit::outside : judge(*sa.more, Way::in, family, inner);
}

// An ICMP error from an address that the SA is not for is judged by the packet of ours that it is about (RFC
// 4301 6.2).
sa::Fit judge_error(const sa::InboundSa& sa, net::Family family, std::span<const std::uint8_t> inner) {
  const auto quoted = parse::quoted_by_error(inner, family);
  if (quoted.empty()) return sa::Fit::outside;
  const auto* remote = destination_of(quoted.data(), family);
  if (sa::matches(sa.selector, family, remote, source_of(quoted.data(), family))) return sa::Fit::inside;
  return sa.more == nullptr ? sa::Fit::outside : judge(*sa.more, Way::quoted, family, quoted);
}

bool padding_is_sound(const std::uint8_t* padding, unsigned length) {
  for (unsigned i = 0; i < length; ++i)
    if (padding[i] != i + 1) return false;  // RFC 4303 2.4: 1, 2, 3, …
  return true;
}

}  // namespace

void Worker::look_up() {
  std::array<std::uint32_t, burst_max> spis;
  std::array<std::uint32_t, burst_max> found;
  unsigned i = 0;
  for (const auto row : esp_) spis[i++] = burst_.info[row].spi;
  shared_.sas->table().find(std::span(spis.data(), esp_.count), found.data());
  i = 0;
  for (const auto row : esp_) {
    const auto index = spis[i] < sa::first_usable_spi ? sa::no_sa : found[i];
    ++i;
    burst_.sa[row] = index;
    if (index == sa::no_sa) continue;
    const auto* sa = &shared_.sas->inbound(index);
    rte_prefetch0(sa);
    rte_prefetch0(reinterpret_cast<const std::byte*>(sa) + 64);
  }
  clock_.end_stage(Stage::lookup, esp_.count);
  tracer_.stage(burst_, Stage::lookup, esp_);
}

void Worker::prepare_inbound() {
  crypto_rows_.clear();
  for (const auto row : esp_) {
    if (burst_.sa[row] == sa::no_sa) continue;
    auto& sa = shared_.sas->inbound(burst_.sa[row]);
    burst_.state[row] = sa.state.load(std::memory_order_acquire);
    if (burst_.state[row] != sa::State::active) continue;
    burst_.sequence[row] =
        sa::ReplayWindow::full_sequence(burst_.info[row].sequence, sa.top.load(std::memory_order_relaxed),
                                        sa.window_packets, sa.extended_sequence);
    if (sa.window_packets != 0)
      rte_prefetch0(
          sa::ReplayWindow(sa.top, sa.cells, sa.window_packets, sa.cell_mask).cell_of(burst_.sequence[row]));
    for (const auto offset : hot_key_lines_[static_cast<std::size_t>(sa.suite)])
      rte_prefetch0(sa.key + offset);
    rte_prefetch0(&shared_.sas->inbound_usage(id_, burst_.sa[row]));
  }
  for (const auto row : esp_) {
    auto* sa = burst_.sa[row] == sa::no_sa ? nullptr : &shared_.sas->inbound(burst_.sa[row]);
    if (sa == nullptr || burst_.state[row] != sa::State::active ||
        !same_addresses(*sa, burst_.l3[row], burst_.family[row]) || !in_port().ipsec)
      missed_.add(row);
    else if (prepare_packet(row, *sa))
      crypto_rows_.add(row);
  }
  clock_.end_stage(Stage::prepare, esp_.count);
  tracer_.stage(burst_, Stage::prepare, crypto_rows_);
}

// Steps 2 and 3, and the crypto operation. False: the packet has its verdict.
bool Worker::prepare_packet(unsigned row, sa::InboundSa& sa) {
  const auto& info = burst_.info[row];
  if (info.fragment) {
    finish(row, by_family(info.family, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR));
    return false;
  }
  const bool in_udp = info.kind == parse::FrameKind::esp_in_udp;
  const bool as_agreed = in_udp == (sa.encapsulation == sa::Encapsulation::udp);
  if (as_agreed ? in_udp && !sa.track_peer && info.source_port != sa.remote_port : !sa.any_encapsulation) {
    sample_miss(row, sa::Miss::mismatch);
    finish(row, Verdict::IN_SA_ENCAP_MISMATCH);
    return false;
  }
  const auto& suite = crypto::suite(sa.suite);
  const std::size_t esp_offset = info.l4_offset - info.l3_offset + (in_udp ? net::udp_header_bytes : 0);
  const std::size_t overhead = net::esp_header_bytes + suite.iv_bytes + suite.icv_bytes;
  if (info.l3_bytes < esp_offset + overhead + trailer_bytes) {
    finish(row, Verdict::IN_ESP_RUNT);
    return false;
  }
  const auto text_bytes = static_cast<std::uint32_t>(info.l3_bytes - esp_offset - overhead);
  if ((text_bytes & (suite.align_bytes - 1u)) != 0) {
    finish(row, Verdict::IN_ESP_LENGTH_MISALIGNED);
    return false;
  }
  const std::uint64_t sequence = burst_.sequence[row];
  if (sa.window_packets != 0) {
    const auto replay = sa::ReplayWindow(sa.top, sa.cells, sa.window_packets, sa.cell_mask).check(sequence);
    if (replay != sa::Replay::fresh) {
      const bool left = replay == sa::Replay::out_of_window;
      finish(row, left ? Verdict::CD_IN_PKT_OUT_OF_WINDOW : Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL);
      return false;
    }
  }
  if (!make_exclusive(row)) {
    finish(row, fits_one_buffer(row) ? Verdict::IN_ESP_SHARED_BUFFER
                                     : by_family(info.family, Verdict::IN_INFRA_V4_PKT_LEN_TOO_BIG,
                                                 Verdict::IN_INFRA_V6_PKT_LEN_TOO_BIG));
    return false;
  }

  sa::describe_esp(burst_.operations[crypto_rows_.count], sa, burst_.l3[row] + esp_offset, suite.iv_bytes,
                   text_bytes, sequence);
  return true;
}

void Worker::decrypt() {
  if (crypto_rows_.count == 0) return;
  crypto_->open({burst_.operations.data(), crypto_rows_.count});
  clock_.end_stage(Stage::decrypt, crypto_rows_.count);
}

// Step 5 where several workers share the windows: of packets that follow each other with numbers of one
// block, as nearly all of one SA do, the first pays the locked instructions for all.
void Worker::commit_burst() {
  for (unsigned first = 0; first < crypto_rows_.count;) {
    const auto index = burst_.sa[crypto_rows_.row[first]];
    const auto block = burst_.sequence[crypto_rows_.row[first]] / 32;
    std::uint32_t bits = 0;
    unsigned next = first;
    for (; next < crypto_rows_.count; ++next) {
      const auto row = crypto_rows_.row[next];
      if (burst_.sa[row] != index || burst_.sequence[row] / 32 != block) break;
      if (burst_.operations[next].status != crypto::Status::ok) continue;
      const std::uint32_t bit = std::uint32_t{1} << (burst_.sequence[row] % 32);
      if ((bits & bit) != 0) break;  // the same number again: a run of its own, to be told apart
      bits |= bit;
    }
    auto& sa = shared_.sas->inbound(index);
    if (sa.window_packets != 0) {
      const auto committed =
          sa::ReplayWindow(sa.top, sa.cells, sa.window_packets, sa.cell_mask).commit_block(block, bits);
      for (unsigned i = first; i < next; ++i) {
        const auto row = crypto_rows_.row[i];
        burst_.replay[row] = committed.of(burst_.sequence[row]);
      }
    }
    first = next;
  }
}

void Worker::accept() {
  if (!exclusive_) commit_burst();
  unsigned k = 0;
  for (const auto row : crypto_rows_) {
    const auto& operation = burst_.operations[k++];
    auto& sa = shared_.sas->inbound(burst_.sa[row]);
    if (operation.status != crypto::Status::ok) {
      const bool bad_icv = operation.status == crypto::Status::bad_icv;
      finish(row, bad_icv ? Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION : Verdict::CRYPTO_DEVICE_IPSEC_STOP);
      continue;
    }
    const auto* outer = burst_.l3[row];
    // From here the text starts the packet; its length is the plaintext's, trailer included.
    auto* mbuf = burst_.mbuf[row];
    burst_.l3[row] = operation.text;
    const auto stripped = operation.text - rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    rte_pktmbuf_adj(mbuf, static_cast<std::uint16_t>(stripped));
    rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(mbuf->pkt_len - operation.text_bytes));
    std::uint8_t source[16] = {};  // the packet itself has another in transport mode
    if (sa.track_peer) [[unlikely]]
      std::memcpy(source, source_of(outer, sa.outer_family), sa.outer_family == net::Family::v4 ? 4 : 16);
    Verdict verdict = commit_sequence(row, sa);
    if (verdict == Verdict::undecided) verdict = accept_packet(row, sa, outer);
    // A dummy uses the key like any packet, and the peer counts it, too; so does a fragment.
    bool used =
        verdict == Verdict::undecided || verdict == Verdict::ESP_DUMMY || verdict == Verdict::REASSEMBLY_PART;
    if (used && sa.limited && !within_lifetime(row, mbuf->pkt_len)) {
      verdict = Verdict::IN_CD_SW_IPSEC_HARD_EXPIRY;
      used = false;
    }
    if (used) [[likely]]
      count_use(shared_.sas->inbound_usage(id_, burst_.sa[row]), mbuf->pkt_len, burst_.tsc);
    const bool part = verdict == Verdict::REASSEMBLY_PART;
    if (verdict != Verdict::undecided && !part) {
      finish(row, verdict);
      continue;
    }
    if (sa.track_peer && burst_.info[row].kind == parse::FrameKind::esp_in_udp) [[unlikely]]
      note_peer(row, sa, source);
    burst_.origin[row] = Origin::admitted;
    if (part) [[unlikely]] {
      finish(row, rejoin(row, Onward::selectors));
      continue;
    }
    (sa.mode == sa::Mode::tunnel ? decrypted_ : unrouted_).add(row);
  }
  if (has_tunnels()) leave_tunnels();
  clock_.end_stage(Stage::accept, crypto_rows_.count);
  tracer_.stage(burst_, Stage::accept, decrypted_);
}

// Step 5, or its outcome if commit_burst did it. Undecided: the number is new and now taken.
Verdict Worker::commit_sequence(unsigned row, sa::InboundSa& sa) {
  const auto sequence = burst_.sequence[row];
  if (sa.window_packets == 0) {
    // Without anti-replay the high half must still be known, for the ICV of packets to come.
    if (sa.extended_sequence) sa::ReplayWindow::raise_top(sa.top, sequence);
    return Verdict::undecided;
  }
  if (exclusive_)
    burst_.replay[row] =
        sa::ReplayWindow(sa.top, sa.cells, sa.window_packets, sa.cell_mask).commit_exclusive(sequence);
  switch (burst_.replay[row]) {
    case sa::Replay::duplicate:
      return Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL;
    case sa::Replay::out_of_window:
      return Verdict::CD_IN_PKT_OUT_OF_WINDOW;
    case sa::Replay::fresh:
      break;
  }
  return Verdict::undecided;
}

// Steps 6 to 8. Undecided: the inner packet may go on; REASSEMBLY_PART: it may once it is whole. `outer` is
// the IP header in front of ESP.
Verdict Worker::accept_packet(unsigned row, sa::InboundSa& sa, const std::uint8_t* outer) {
  auto* mbuf = burst_.mbuf[row];
  const auto* text = burst_.l3[row];
  const unsigned text_bytes = mbuf->pkt_len;
  const unsigned pad_bytes = text[text_bytes - 2];
  const std::uint8_t next_header = text[text_bytes - 1];
  if (pad_bytes + trailer_bytes > text_bytes ||
      !padding_is_sound(text + text_bytes - trailer_bytes - pad_bytes, pad_bytes)) {
    return Verdict::IN_PKT_HEADPAD_LEN_ERR;
  }
  rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(trailer_bytes + pad_bytes));
  if (next_header == net::protocol_none) return Verdict::ESP_DUMMY;
  if (sa.mode == sa::Mode::tunnel) {
    const auto verdict = unwrap_packet(row, next_header, outer);
    if (verdict != Verdict::undecided) return verdict;
  } else {
    const auto& info = burst_.info[row];
    rejoin_header(row, sa, outer, info.l4_offset - info.l3_offset, next_header);
  }
  const auto verdict = selector_fault(row, sa);
  // Only the whole packet has what the selectors go by (RFC 4301 7).
  const bool part = verdict == Verdict::SELECTOR_FIELDS_OPAQUE && sa.mode == sa::Mode::tunnel &&
                    is_fragment({burst_.l3[row], mbuf->pkt_len}, burst_.family[row]);
  return part ? Verdict::REASSEMBLY_PART : verdict;
}

// Undecided: the inner packet is within its SA's selectors.
Verdict Worker::selector_fault(unsigned row, const sa::InboundSa& sa) const {
  const auto family = burst_.family[row];
  const std::span packet(burst_.l3[row], burst_.mbuf[row]->pkt_len);
  auto fit = judge(sa, family, packet);
  if (fit == sa::Fit::outside) fit = judge_error(sa, family, packet);
  if (fit == sa::Fit::inside) return Verdict::undecided;
  if (fit == sa::Fit::unknown) return Verdict::SELECTOR_FIELDS_OPAQUE;
  return by_family(family, Verdict::IN_V4_POST_INPUT_POLICY_FAIL, Verdict::IN_V6_POST_INPUT_POLICY_FAIL);
}

// Tunnel mode: what the ESP payload holds must be a sound IP packet of the family that next header names.
Verdict Worker::unwrap_packet(unsigned row, std::uint8_t next_header, const std::uint8_t* outer) {
  if (next_header != net::protocol_ipv4 && next_header != net::protocol_ipv6)
    return Verdict::IN_CD_SW_IPSEC_NH_MISMATCH;
  auto* mbuf = burst_.mbuf[row];
  auto* packet = burst_.l3[row];
  const auto family = next_header == net::protocol_ipv4 ? net::Family::v4 : net::Family::v6;
  const unsigned payload_bytes = mbuf->pkt_len;
  if (payload_bytes != 0 && packet[0] >> 4 != static_cast<std::uint8_t>(family))
    return Verdict::IN_PKT_IPVER_INVALID;
  // The total length also takes off traffic flow confidentiality padding (RFC 4303 2.7).
  std::uint32_t total_bytes = 0;
  if (!net::inner_ok(family, {packet, payload_bytes}, total_bytes)) return Verdict::IN_INNER_HEADER_INVALID;
  rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(payload_bytes - total_bytes));
  const std::uint8_t congestion = net::traffic_class(outer, burst_.family[row]) & net::ecn_mask;
  burst_.family[row] = family;
  const bool marked = (congestion & 1) != 0;
  return marked && !net::take_in_congestion(congestion, packet, family) ? Verdict::IN_CONGESTED_NOT_ECT
                                                                        : Verdict::undecided;
}

// A good packet, the newest of its SA, from elsewhere than the ones before: the peer moved, or its NAT chose
// another port. Older packets tell where it was; without anti-replay anybody could play one back.
void Worker::note_peer(unsigned row, const sa::InboundSa& sa, const std::uint8_t* source) {
  if (sa.window_packets == 0 || burst_.sequence[row] != sa.top.load(std::memory_order_relaxed)) return;
  const auto& info = burst_.info[row];
  const auto family = sa.outer_family;
  const std::size_t bytes = family == net::Family::v4 ? 4 : 16;
  PeerMoved moved{};
  std::memcpy(moved.address, source, bytes);
  std::uint8_t known[16];
  sa::load_shared(known, sa.source, bytes);
  const std::uint16_t known_port = __atomic_load_n(&sa.remote_port, __ATOMIC_RELAXED);
  if (info.source_port == known_port && std::memcmp(moved.address, known, bytes) == 0) return;
  if (!peer_limit_.take(burst_.tsc)) return;
  moved.spi = sa.spi;
  moved.port = info.source_port;
  moved.family = family;
  if (rte_ring_mp_enqueue_elem(shared_.rings.peer, &moved, sizeof moved) != 0) load_.notices_lost.add(1);
}

}  // namespace espgate::worker
