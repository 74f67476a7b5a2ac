// ESP whose SPI led to no usable SA. To us, it is dropped under the name of what is wrong and a sample
// goes to the control core, which explains it; through us, it is cleartext like any other.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
void Worker::resolve_missed() {
  const Destinations destinations(burst_, missed_);
  const auto& tables = *shared_.forwarding;
  look_up_routes(tables, destinations, [&](unsigned row, forward::HopIndex hop) {
    hop_[row] = hop;
    if (tables.hop(hop).kind == forward::HopKind::local) {
      drop_missed(row);
    } else {
      burst_.sa[row] = sa::no_sa;  // the SPI is another's, though we may have one like it
      clear_.add(row);
    }
  });
}

void Worker::drop_missed(unsigned row) {
  const auto family = burst_.family[row];
  if (!in_port().ipsec) {
    finish(row, by_family(family, Verdict::IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED,
                          Verdict::IN_US_V6_PKT_FOUND_IPSEC_NOT_ENABLED));
    return;
  }
  if (burst_.info[row].fragment) {  // a later one has no SPI to look at
    finish(row, by_family(family, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR));
    return;
  }
  if (burst_.info[row].spi < sa::first_usable_spi) {
    finish(row, Verdict::IN_SPI_RESERVED);
    return;
  }
  if (burst_.sa[row] == sa::no_sa) {
    sample_miss(row, sa::Miss::not_found);
    finish(row,
           by_family(family, Verdict::IN_US_V4_PKT_SA_NOT_FOUND_SPI, Verdict::IN_US_V6_PKT_SA_NOT_FOUND_SPI));
    return;
  }
  switch (burst_.state[row]) {
    case sa::State::larval:
      sample_miss(row, sa::Miss::larval);
      finish(row, Verdict::IN_SA_LARVAL);
      return;
    case sa::State::retired:
      sample_miss(row, sa::Miss::retired);
      finish(row, Verdict::IN_SA_RETIRED);
      return;
    case sa::State::expired:
      tell_lifetime(row, sa::LifetimeStage::hard);
      sample_miss(row, sa::Miss::retired);
      finish(row, Verdict::IN_CD_SW_IPSEC_HARD_EXPIRY);
      return;
    case sa::State::active:
      sample_miss(row, sa::Miss::mismatch);
      finish(row, by_family(family, Verdict::IN_V4_PKT_HIT_INVALID_SA, Verdict::IN_V6_PKT_HIT_INVALID_SA));
      return;
  }
}

// What is larval or was retired is hard to guess, and has a ring and a limit of its own, with a share for
// each SPI: a flood of made-up ones hides no peer that keeps to an SA which is gone.
void Worker::sample_miss(unsigned row, sa::Miss miss) {
  const auto& info = burst_.info[row];
  const bool known = miss == sa::Miss::larval || miss == sa::Miss::retired;
  const bool has_share = !known || spi_shares_[info.spi % spi_shares_.size()].take(burst_.tsc);
  if (!has_share || !(known ? spi_known_limit_ : spi_limit_).take(burst_.tsc)) {
    load_.spi_samples_lost.add(1);
    return;
  }
  const auto family = burst_.family[row];
  const std::size_t address_bytes = family == net::Family::v4 ? 4 : 16;
  sa::SpiMiss record{};
  std::memcpy(record.source, source_of(burst_.l3[row], family), address_bytes);
  std::memcpy(record.destination, destination_of(burst_.l3[row], family), address_bytes);
  record.tsc = burst_.tsc;
  record.spi = info.spi;
  record.sequence = info.sequence;
  record.source_port = info.source_port;
  record.destination_port = info.destination_port;
  record.packet_bytes = info.l3_bytes;
  record.port = burst_.port;
  record.miss = miss;
  record.family = family;
  record.encapsulation =
      info.kind == parse::FrameKind::esp_in_udp ? sa::Encapsulation::udp : sa::Encapsulation::none;
  const auto& frame = *burst_.mbuf[row];
  record.link_bytes = static_cast<std::uint8_t>(info.l3_offset);
  record.frame_bytes = static_cast<std::uint16_t>(frame.pkt_len);
  record.head_bytes = std::min<std::uint16_t>(frame.data_len, sizeof record.head);
  std::memcpy(record.head, rte_pktmbuf_mtod(&frame, const std::uint8_t*), record.head_bytes);
  auto* ring = known ? shared_.rings.spi_known : shared_.rings.spi;
  if (rte_ring_mp_enqueue_elem(ring, &record, sizeof record) != 0) load_.spi_samples_lost.add(1);
}

}  // namespace espgate::worker
