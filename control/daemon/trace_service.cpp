#include "control/daemon/trace_service.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <rte_ring_elem.h>

#include "control/cli/values.hpp"
#include "control/daemon/tsc_clock.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t packets_kept = 1'000;
constexpr unsigned records_a_round = 256;

std::string_view kind_text(parse::FrameKind kind) {
  switch (kind) {
    case parse::FrameKind::esp: return "ESP";
    case parse::FrameKind::esp_in_udp: return "ESP in UDP";
    case parse::FrameKind::ike: return "IKE";
    case parse::FrameKind::nat_keepalive: return "NAT keepalive";
    case parse::FrameKind::ip: return "IP";
    case parse::FrameKind::not_ip: return "not IP";
    case parse::FrameKind::invalid: return "malformed";
  }
  return "";
}

bool is_esp(const worker::TraceRecord& record) {
  const auto kind = static_cast<parse::FrameKind>(record.kind);
  return kind == parse::FrameKind::esp || kind == parse::FrameKind::esp_in_udp;
}

// "192.0.2.2 > 192.0.2.1" of the IPv4 packet that begins at `offset` of the record's head.
std::string addresses_at(const worker::TraceRecord& record, std::size_t offset) {
  const std::span head(record.head);
  if (offset + net::ipv4_header_bytes > head.size() || head[offset] >> 4 != 4) return {};
  const auto address = [&](std::size_t at) {
    return net::to_string(net::Address::from_bytes(net::Family::v4, head.data() + offset + at));
  };
  return fmt::format("{} > {}", address(net::ipv4::source), address(net::ipv4::destination));
}

std::string stage_text(const worker::TraceRecord& record) {
  const auto verdict = static_cast<Verdict>(record.verdict);
  if (verdict != Verdict::undecided) return fmt::format("{}: {}", row(verdict).name, row(verdict).meaning);
  const bool has_sa = record.sa != sa::no_sa;
  switch (static_cast<worker::Stage>(record.stage)) {
    case worker::Stage::parse:
      return is_esp(record) ? fmt::format("{}, SPI {}, {} B", kind_text(static_cast<parse::FrameKind>(record.kind)),
                                          cli::spi_text(record.spi), record.bytes)
                            : fmt::format("{}, {} B", kind_text(static_cast<parse::FrameKind>(record.kind)),
                                          record.bytes);
    case worker::Stage::lookup:
      return has_sa ? fmt::format("SA entry {}", record.sa) : std::string("no SA has this SPI");
    case worker::Stage::prepare:
      return fmt::format("addresses, lengths and replay check passed, sequence {}", record.sequence);
    case worker::Stage::accept:
      return fmt::format("ICV good, inner packet of {} B {}", record.bytes, addresses_at(record, 0));
    case worker::Stage::policy:
      return has_sa ? fmt::format("protect with outbound SA entry {}", record.sa) : std::string("pass or drop");
    case worker::Stage::encapsulate:
      return fmt::format("ESP sequence {}, outer packet of {} B", record.sequence, record.bytes);
    default:
      return fmt::format("{} B", record.bytes);
  }
}

}  // namespace

std::int64_t TraceService::armed() const {
  return std::max<std::int64_t>(0, shared_.trace.remaining.load(std::memory_order_relaxed));
}

std::int64_t TraceService::add(std::uint64_t count, std::uint8_t port) {
  shared_.trace.port.store(port, std::memory_order_relaxed);
  shared_.trace.remaining.fetch_add(static_cast<std::int64_t>(count), std::memory_order_relaxed);
  return armed();
}

std::size_t TraceService::clear() {
  const auto forgotten = packets_.size() + static_cast<std::size_t>(armed());
  shared_.trace.remaining.store(0, std::memory_order_relaxed);
  packets_.clear();
  return forgotten;
}

void TraceService::show(bool follow, cli::StreamPtr stream) {
  for (const auto& packet : packets_) stream->push(describe(packet));
  if (follow)
    followers_.push_back(std::move(stream));
  else
    stream->finish({{"armed", armed()}});
}

unsigned TraceService::poll() {
  std::array<worker::TraceRecord, records_a_round> records;
  const unsigned count = rte_ring_sc_dequeue_burst_elem(shared_.rings.trace, records.data(), sizeof records[0],
                                                        records_a_round, nullptr);
  for (unsigned i = 0; i < count; ++i) take(records[i]);
  std::erase_if(followers_, [](const auto& follower) { return !follower->open(); });
  return count;
}

void TraceService::take(const worker::TraceRecord& record) {
  auto packet = std::ranges::find(packets_, record.packet, &Packet::number);
  if (packet == packets_.end()) {
    if (packets_.size() == packets_kept) packets_.pop_front();
    packets_.push_back({record.packet, {}});
    packet = std::prev(packets_.end());
  }
  packet->records.push_back(record);
  if (static_cast<Verdict>(record.verdict) == Verdict::undecided) return;
  for (const auto& follower : followers_)
    if (follower->open()) follower->push(describe(*packet));
}

nlohmann::json TraceService::describe(const Packet& packet) const {
  const auto& first = packet.records.front();
  const auto& last = packet.records.back();
  auto stages = nlohmann::json::array();
  std::uint64_t before = first.tsc;
  for (const auto& record : packet.records) {
    stages.push_back({{"stage", worker::stage_names[record.stage]},
                      {"cycles", record.tsc - before},
                      {"text", stage_text(record)}});
    before = record.tsc;
  }
  const auto verdict = static_cast<Verdict>(last.verdict);
  nlohmann::json result{{"number", packet.number},
                        {"time", cli::time_text(wall_time(first.tsc, shared_.tsc_hz), 6)},
                        {"port", shared_.ports[first.port]->name},
                        {"worker", first.worker},
                        {"length_bytes", first.bytes},
                        {"verdict", nullptr},
                        {"stages", std::move(stages)}};
  if (verdict != Verdict::undecided) result["verdict"] = row(verdict).name;
  return result;
}

}  // namespace espgate::daemon
