#include "control/daemon/evidence_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "control/cli/pcap.hpp"
#include "control/cli/protocol.hpp"
#include "control/cli/values.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;
using recovery::Case;

constexpr std::size_t most_jobs = 4;
constexpr std::size_t most_described = 4;  // at once: each is some dozens of lines

std::uint64_t ns_since_1970(WallTime when) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count());
}

std::string pcap_of(const Case& one) {
  auto bytes = cli::pcap_header();
  for (const auto& packet : one.packets)
    bytes += cli::pcap_record(ns_since_1970(packet.when), packet.frame_bytes, packet.frame);
  return bytes;
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

bool is_strangers(const Case& one) {
  return one.kind == recovery::Class::stranger;
}

std::string about(const Case& one) {
  return fmt::format("SPI {} from {}", cli::spi_text(one.key.spi), net::to_string(one.key.source));
}

}  // namespace

EvidenceService::EvidenceService(Parts parts)
    : parts_(std::move(parts)),
      book_(parts_.files ? parts_.files->last_number() : 0),
      work_(1, most_jobs, [spare = parts_.spare_cpus] { give_way("evidence", spare); }),
      hook_(parts_.loop, work_, parts_.log) {
  parts_.loop.watch("evidence", work_.descriptor(), [this] { work_.deliver(); });
}

EvidenceService::~EvidenceService() {
  parts_.loop.unwatch(work_.descriptor());
}

std::uint64_t EvidenceService::flow_began(const recovery::Flow& flow, std::string_view connection,
                                          const sa::SpiMiss& miss, Moment now) {
  auto& one = book_.open(flow, connection, now);
  recovery::EvidenceBook::add_packet(one, miss, parts_.wall_time(miss.tsc));
  const auto source = net::to_string(flow.key.source);
  const auto destination = net::to_string(flow.key.destination);
  const auto spi = cli::spi_text(flow.key.spi);
  const auto what = flow.repair == recovery::Repair::none ? recovery::remedy(flow.kind) : name(flow.repair);
  parts_.journal.add(
      EventKind::invalid_spi, one.connection.empty() ? source : one.connection,
      fmt::format("{}: SPI {} from {} to {}; {}", name(flow.kind), spi, source, destination, what), now,
      {{"source", source},
       {"destination", destination},
       {"spi", spi},
       {"class", name(flow.kind)},
       {"repair", name(flow.repair)},
       {"connection", text_or_null(one.connection)},
       {"evidence", one.number}});
  return one.number;
}

void EvidenceService::flow_went_on(const recovery::Flow& flow, const sa::SpiMiss& miss, Moment) {
  auto* one = book_.find(flow.evidence);
  if (one != nullptr && one->packets.size() < recovery::EvidenceBook::packets_each)
    recovery::EvidenceBook::add_packet(*one, miss, parts_.wall_time(miss.tsc));
}

void EvidenceService::flood_began(const net::Address& last_source, std::uint32_t flows_per_s, Moment now) {
  parts_.journal.add(
      EventKind::invalid_spi_flood, net::to_string(last_source),
      fmt::format("more than {} new flows with invalid SPIs a second, the last from there", flows_per_s),
      now);
}

void EvidenceService::flood_ended(const recovery::FloodWatch::Over& over, Moment now) {
  parts_.journal.add(EventKind::invalid_spi_flood_over, "invalid SPIs",
                     fmt::format("the flood is over after {:.1f} s and {} flows",
                                 std::chrono::duration<double>(over.lasted).count(), over.flows),
                     now);
}

void EvidenceService::tick(Moment now) {
  work_.hand_over();
  hook_.tick(now);
  settle_one(now);
  hand_on_one(now);
}

void EvidenceService::settle_one(Moment now) {
  if (is_writing_ || now.steady - last_write_ < between_files) return;
  auto* one = book_.oldest(
      [&](const Case& each) { return !each.is_settled && now.steady - each.began.steady >= settling; });
  if (one == nullptr) return;
  one->history = parts_.history(*one);
  one->was_handed_on = parts_.hook.program.empty();
  if (parts_.files && !is_strangers(*one))
    write(*one, now);
  else
    one->is_settled = true;
}

void EvidenceService::write(Case& one, Moment now) {
  const auto problem = std::make_shared<std::optional<Error>>();
  const auto path = parts_.files->path_of(one.number);
  auto described = describe(one);
  described["file"] = path;
  is_writing_ = true;
  last_write_ = now.steady;
  (void)work_.submit(  // there is room: one of these, and one of the program's
      0,
      [files = &*parts_.files, number = one.number, problem, pcap = pcap_of(one),
       described = std::move(described)] {
        auto written = files->write(number, pcap, cli::json_text(described, 2) + "\n");
        if (!written) *problem = written.error();
      },
      [this, number = one.number, problem, path](bool done) {
        is_writing_ = false;
        if (*problem) parts_.log(sa::Severity::warning, (*problem)->text());
        auto* kept = book_.find(number);
        if (kept == nullptr) return;
        kept->is_settled = true;
        if (done && !*problem) kept->file = path;
      });
}

void EvidenceService::hand_on_one(Moment now) {
  auto* one = book_.oldest([](const Case& each) { return each.is_settled && !each.was_handed_on; });
  if (one == nullptr) return;
  const auto most = HookRunner::most_a_minute;
  if (parts_.hook.program.empty()) {  // it was taken out of the configuration
    one->was_handed_on = true;
  } else if (hook_.has_room(is_strangers(*one) ? most / 2 : most, now)) {
    one->was_handed_on = true;
    hook_.start(command_for(*one), about(*one), now);
  }
}

HookCommand EvidenceService::command_for(const Case& one) const {
  return {parts_.hook.program,
          parts_.hook.uid,
          parts_.hook.gid,
          {fmt::format("ESPGATE_EVENT={}", cli::name(EventKind::invalid_spi)),
           fmt::format("ESPGATE_CLASS={}", name(one.kind)), "ESPGATE_SPI=" + cli::spi_text(one.key.spi),
           "ESPGATE_SOURCE=" + net::to_string(one.key.source),
           "ESPGATE_DESTINATION=" + net::to_string(one.key.destination),
           "ESPGATE_CONNECTION=" + one.connection, fmt::format("ESPGATE_REPAIR={}", name(one.repair)),
           "ESPGATE_EVIDENCE=" + (one.file.empty() ? "" : one.file + ".pcap")},
          cli::json_text(describe(one)) + "\n"};
}

json EvidenceService::describe(const Case& one) const {
  auto ike = json::array();
  for (const auto& line : one.is_settled || !one.history.empty() ? one.history : parts_.history(one))
    ike.push_back({{"time", cli::time_text(line.first, 3)},
                   {"last", cli::time_text(line.last, 3)},
                   {"event", line.event},
                   {"detail", line.detail}});
  return {{"number", one.number},
          {"time", cli::time_text(one.began.wall, 3)},
          {"source", net::to_string(one.key.source)},
          {"destination", net::to_string(one.key.destination)},
          {"spi", cli::spi_text(one.key.spi)},
          {"class", name(one.kind)},
          {"repair", name(one.repair)},
          {"connection", text_or_null(one.connection)},
          {"port", one.port},
          {"packets", one.packets.size()},
          {"file", text_or_null(one.file)},
          {"ike", std::move(ike)}};
}

json EvidenceService::describe(std::uint32_t spi) const {
  auto all = json::array();
  const auto cases = book_.of_spi(spi);
  for (auto i = cases.size() - std::min(cases.size(), most_described); i < cases.size(); ++i)
    all.push_back(describe(*cases[i]));
  return all;
}

Expected<void> EvidenceService::send_packets(std::uint32_t spi, const cli::StreamPtr& stream) const {
  std::vector<json> frames;
  for (const auto* one : book_.of_spi(spi))
    for (const auto& packet : one->packets)
      frames.push_back({{"time_ns", ns_since_1970(packet.when)},
                        {"port", one->port},
                        {"direction", "rx"},
                        {"verdict", nullptr},
                        {"length_bytes", packet.frame_bytes},
                        {"data", cli::base64(packet.frame)}});
  if (frames.empty())
    return Error{
        "no packet with SPI " + cli::spi_text(spi) + " is kept",
        "`show invalid-spi` lists the flows; packets are kept of the newest that had a line in the log"};
  stream->pull_all(std::move(frames));
  return {};
}

}  // namespace espgate::daemon
