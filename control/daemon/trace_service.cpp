#include "control/daemon/trace_service.hpp"

#include <fmt/format.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>

#include "control/cli/values.hpp"
#include "control/daemon/tsc_clock.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t packets_kept = 1'000;
constexpr unsigned records_at_once = 4;

std::string_view kind_text(parse::FrameKind kind) {
  switch (kind) {
    case parse::FrameKind::esp:
      return "ESP";
    case parse::FrameKind::esp_in_udp:
      return "ESP in UDP";
    case parse::FrameKind::ike:
      return "IKE";
    case parse::FrameKind::nat_keepalive:
      return "NAT keepalive";
    case parse::FrameKind::ip:
      return "IP";
    case parse::FrameKind::damaged:
      return "damaged ESP or UDP header";
    case parse::FrameKind::not_ip:
      return "not IP";
    case parse::FrameKind::invalid:
      return "malformed";
  }
  return "";
}

bool is_esp(const worker::TraceRecord& record) {
  const auto kind = static_cast<parse::FrameKind>(record.kind);
  return kind == parse::FrameKind::esp || kind == parse::FrameKind::esp_in_udp;
}

// "IPv4 192.0.2.2 > 192.0.2.1"
std::string addresses(const worker::TraceRecord& record) {
  const bool v4 = record.head[0] >> 4 == 4;
  const auto family = v4 ? net::Family::v4 : net::Family::v6;
  const auto address = [&](std::size_t at) {
    return net::to_string(net::Address::from_bytes(family, record.head + at));
  };
  return v4 ? fmt::format("IPv4 {} > {}", address(net::ipv4::source), address(net::ipv4::destination))
            : fmt::format("IPv6 {} > {}", address(net::ipv6::source), address(net::ipv6::destination));
}

std::string parse_text(const worker::TraceRecord& record) {
  const auto kind = static_cast<parse::FrameKind>(record.kind);
  const bool ip = kind != parse::FrameKind::not_ip && kind != parse::FrameKind::invalid;
  std::string text = ip ? addresses(record) + ", " : std::string();
  if (kind != parse::FrameKind::ip) text += fmt::format("{}, ", kind_text(kind));
  if (is_esp(record)) text += fmt::format("SPI {}, ", cli::spi_text(record.spi));
  return text + fmt::format("{} B", record.bytes);
}

// Where a packet's way ended, as a stage.
std::string_view end_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::tx:
      return worker::stage_names[static_cast<std::size_t>(worker::Stage::transmit)];
    case Outcome::host:
      return "to host";
    case Outcome::control:
      return "to control";
    case Outcome::consumed:
      return "consume";
    case Outcome::drop:
      return "drop";
  }
  return "";
}

std::string_view stage_name(const worker::TraceRecord& record) {
  const auto verdict = static_cast<Verdict>(record.verdict);
  return verdict == Verdict::undecided ? worker::stage_names[record.stage] : end_name(row(verdict).outcome);
}

std::string lookup_text(const worker::TraceRecord& record, const sa::SaStore& sas) {
  if (record.sa == sa::no_sa) return "no SA has this SPI";
  if (sas.is_earlier(record.spi)) return "an SPI of before the restart";
  return fmt::format("SA entry {}", record.sa);
}

std::string stage_text(const worker::TraceRecord& record, const sa::SaStore& sas, const std::string& tunnel) {
  const auto verdict = static_cast<Verdict>(record.verdict);
  if (verdict != Verdict::undecided) return fmt::format("{}: {}", row(verdict).name, row(verdict).meaning);
  switch (static_cast<worker::Stage>(record.stage)) {
    case worker::Stage::parse:
      return parse_text(record);
    case worker::Stage::lookup:
      return lookup_text(record, sas);
    case worker::Stage::prepare:
      return fmt::format("addresses, lengths and sequence number {} pass", record.sequence);
    case worker::Stage::accept:
      return fmt::format("ICV good; {}inner {}, {} B", tunnel.empty() ? "" : "tunnel " + tunnel + ", ",
                         addresses(record), record.bytes);
    case worker::Stage::policy:
      return record.sa == sa::no_sa ? std::string("pass or drop")
                                    : fmt::format("protect with outbound SA entry {}", record.sa);
    case worker::Stage::encapsulate:
      return fmt::format("{}ESP sequence {}, outer {}, {} B", tunnel.empty() ? "" : "tunnel " + tunnel + ", ",
                         record.sequence, addresses(record), record.bytes);
    case worker::Stage::encrypt:
      return fmt::format("sealed, {} B", record.bytes);
    case worker::Stage::forward:
      return fmt::format("{}, frame of {} B", addresses(record), record.bytes);
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
  std::array<worker::TraceRecord, records_at_once> records;
  const unsigned count = rte_ring_sc_dequeue_burst_elem(shared_.rings.trace, records.data(),
                                                        sizeof records[0], records_at_once, nullptr);
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
  const auto tunnel_of = [this](const worker::TraceRecord& record) {
    return record.tunnel == tunnel::no_tunnel ? std::string() : tunnel_name_(record.tunnel);
  };
  const auto& first = packet.records.front();
  const auto& last = packet.records.back();
  auto stages = nlohmann::json::array();
  std::uint64_t before = first.tsc;
  for (const auto& record : packet.records) {
    stages.push_back({{"stage", stage_name(record)},
                      {"cycles", record.tsc - before},
                      {"text", stage_text(record, *shared_.sas, tunnel_of(record))}});
    before = record.tsc;
  }
  const auto verdict = static_cast<Verdict>(last.verdict);
  nlohmann::json result{
      {"number", packet.number},
      {"time", cli::time_text(wall_time(first.tsc, shared_.tsc_hz), 6)},
      {"port", first.tunnel == tunnel::no_tunnel ? shared_.ports[first.port]->name : tunnel_of(first)},
      {"worker", first.worker},
      {"length_bytes", first.bytes},
      {"verdict", nullptr},
      {"stages", std::move(stages)}};
  if (verdict != Verdict::undecided) result["verdict"] = row(verdict).name;
  return result;
}

}  // namespace espgate::daemon
