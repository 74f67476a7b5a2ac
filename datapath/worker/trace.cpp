#include "datapath/worker/trace.hpp"

#include <rte_ring_elem.h>

#include <algorithm>
#include <cstring>

#include "datapath/sa/sa_table.hpp"

namespace espgate::worker {

Tracer::Tracer(TraceRequest& request, rte_ring* ring, std::uint8_t worker)
    : request_(request), ring_(ring), worker_(worker) {}

void Tracer::mark(const Burst& burst) {
  const auto port = request_.port.load(std::memory_order_relaxed);
  if (port != any_port && port != burst.port) return;
  for (unsigned row = 0; row < burst.count; ++row) {
    const bool taken = request_.remaining.fetch_sub(1, std::memory_order_relaxed) > 0;
    number_[row] = taken ? request_.marked.fetch_add(1, std::memory_order_relaxed) + 1 : 0;
    if (!taken) request_.remaining.fetch_add(1, std::memory_order_relaxed);
    active_ |= taken;
    if (taken) record_packet(burst, Stage::parse, static_cast<std::uint8_t>(row));
  }
}

TraceRecord Tracer::describe(const Burst& burst, std::uint8_t row) const {
  TraceRecord record{};
  record.packet = number_[row];
  record.tsc = rte_rdtsc();
  record.sequence = burst.sequence[row];
  record.spi = burst.info[row].spi;
  record.sa = burst.sa[row];
  record.tunnel = burst.tunnel[row];
  record.worker = worker_;
  record.port = burst.port;
  record.verdict = static_cast<std::uint8_t>(burst.verdict[row]);
  record.kind = static_cast<std::uint8_t>(burst.info[row].kind);
  record.from_host = burst.from_host;
  return record;
}

void Tracer::record(const Burst& burst, Stage stage, const Lanes& lanes) {
  for (const auto row : lanes)
    if (number_[row] != 0 && burst.verdict[row] == Verdict::undecided) record_packet(burst, stage, row);
}

void Tracer::record_packet(const Burst& burst, Stage stage, std::uint8_t row) {
  const auto* mbuf = burst.mbuf[row];
  TraceRecord record = describe(burst, row);
  record.stage = static_cast<std::uint8_t>(stage);
  record.bytes = static_cast<std::uint16_t>(mbuf->pkt_len);
  const auto* ip = burst.l3[row];
  const auto offset = static_cast<std::size_t>(ip - rte_pktmbuf_mtod(mbuf, const std::uint8_t*));
  if (offset < mbuf->data_len)
    std::memcpy(record.head, ip, std::min(sizeof record.head, mbuf->data_len - offset));
  send(record);
}

void Tracer::record_verdicts(const Burst& burst, const std::uint8_t* first, const std::uint8_t* last) {
  for (; first != last; ++first) {
    if (number_[*first] == 0) continue;
    TraceRecord record = describe(burst, *first);
    record.stage = static_cast<std::uint8_t>(Stage::transmit);
    send(record);
  }
}

// A full ring loses records, not packets; control sees the gap in the stages.
void Tracer::send(TraceRecord record) {
  (void)rte_ring_mp_enqueue_elem(ring_, &record, sizeof record);
}

}  // namespace espgate::worker
