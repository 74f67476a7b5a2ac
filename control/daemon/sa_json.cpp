#include "control/daemon/sa_json.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "control/cli/values.hpp"
#include "control/daemon/tsc_clock.hpp"

namespace espgate::daemon {

using nlohmann::json;

void add_totals(json& result, const Services& services, const sa::Totals& totals) {
  result["packets"] = totals.packets;
  result["bytes"] = totals.bytes;
  result["last"] = nullptr;
  if (totals.last_tsc != 0)
    result["last"] = cli::time_text(wall_time(totals.last_tsc, services.gateway->shared().tsc_hz));
  auto faults = json::array();
  for (const auto& [reason, packets] : totals.faults)
    faults.push_back({{"number", row(reason).number}, {"name", row(reason).name}, {"packets", packets}});
  result["faults"] = std::move(faults);
}

namespace {

std::string address_text(net::Family family, const std::uint8_t* bytes) {
  return net::to_string(net::Address::from_bytes(family, bytes));
}

json selector_json(const sa::Selector& selector) {
  const auto side = [&](const std::uint8_t* bytes, std::uint8_t bits) {
    return net::to_string(net::Prefix{net::Address::from_bytes(selector.family, bytes), bits});
  };
  return {{"source", side(selector.source, selector.source_bits)},
          {"destination", side(selector.destination, selector.destination_bits)},
          {"protocol", nullptr},
          {"source_ports", nullptr},
          {"destination_ports", nullptr},
          {"icmp_type", nullptr}};
}

// From the peer, so its remote side is the source.
json selector_json(const net::TrafficSelector& selector) {
  const auto fields = narrowed_fields(selector);
  return {{"source", net::to_string(selector.remote)},
          {"destination", net::to_string(selector.local)},
          {"protocol", fields.protocol},
          {"source_ports", fields.remote_ports},
          {"destination_ports", fields.local_ports},
          {"icmp_type", fields.icmp_type}};
}

// Of packets in the other direction.
json turned(json selector) {
  std::swap(selector["source"], selector["destination"]);
  std::swap(selector["source_ports"], selector["destination_ports"]);
  return selector;
}

// Of an SA that a route leads to; others go by their policies.
json selectors_json(const sa::OutboundSa& entry) {
  auto all = json::array();
  if (entry.selectors == nullptr) return all;
  for (const auto& selector : entry.selectors->prefixes) all.push_back(turned(selector_json(selector)));
  for (const auto& detailed : entry.selectors->detailed)
    all.push_back(turned(selector_json(detailed.selector)));
  return all;
}

json selectors_json(const sa::InboundSa& entry) {
  auto all = json::array();
  const bool has_inline = entry.more == nullptr ||
                          entry.selector_count > entry.more->prefixes.size() + entry.more->detailed.size();
  if (has_inline) all.push_back(selector_json(entry.selector));
  if (entry.more == nullptr) return all;
  for (const auto& selector : entry.more->prefixes) all.push_back(selector_json(selector));
  for (const auto& detailed : entry.more->detailed) all.push_back(selector_json(detailed.selector));
  return all;
}

json lifetime_json(const sa::SaReport& report) {
  const auto& lifetime = report.lifetime;
  if (!lifetime.limits_anything()) return nullptr;
  const auto limit = [](std::uint64_t value) { return value == 0 ? json(nullptr) : json(value); };
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now().steady - report.began.steady);
  return {{"packets", report.used.packets},
          {"bytes", report.used.bytes},
          {"seconds", age.count()},
          {"soft_packets", limit(lifetime.soft_packets)},
          {"hard_packets", limit(lifetime.hard_packets)},
          {"soft_bytes", limit(lifetime.soft_bytes)},
          {"hard_bytes", limit(lifetime.hard_bytes)},
          {"soft_seconds", limit(lifetime.soft_seconds)},
          {"hard_seconds", limit(lifetime.hard_seconds)}};
}

json common_json(const sa::SaReport& report, bool inbound) {
  return {{"connection", report.connection.empty() ? json(nullptr) : json(report.connection)},
          {"direction", inbound ? "in" : "out"},
          {"spi", cli::spi_text(report.spi)},
          {"state", report.state},
          {"lifetime", lifetime_json(report)},
          {"rekey_in_s", nullptr},
          {"since", cli::time_text(report.since.wall)},
          {"suite", nullptr},
          {"local", nullptr},
          {"remote", nullptr},
          {"encapsulation", nullptr},
          {"local_port", nullptr},
          {"remote_port", nullptr},
          {"esn", nullptr},
          {"window_packets", nullptr},
          {"path_mtu", nullptr},
          {"sequence", nullptr},
          {"selectors", json::array()}};
}

std::string_view encapsulation_text(sa::Encapsulation encapsulation) {
  return encapsulation == sa::Encapsulation::udp ? "udp" : "none";
}

// Parameters are in the entry once it was installed; a larval SA has none.
json inbound_json(const sa::SaReport& report, const sa::InboundSa& entry) {
  json result = common_json(report, true);
  if (entry.key == nullptr) return result;
  result["suite"] = crypto::suite(entry.suite).name;
  result["remote"] = address_text(entry.outer_family, entry.source);
  result["local"] = address_text(entry.outer_family, entry.destination);
  result["encapsulation"] = encapsulation_text(entry.encapsulation);
  result["esn"] = entry.extended_sequence;
  result["window_packets"] = entry.window_packets;
  result["sequence"] = entry.top.load(std::memory_order_relaxed);
  result["selectors"] = selectors_json(entry);
  return result;
}

json outbound_json(const sa::SaReport& report, const sa::OutboundSa& entry) {
  json result = common_json(report, false);
  const bool v4 = entry.outer_family == net::Family::v4;
  result["suite"] = crypto::suite(entry.suite).name;
  result["local"] = address_text(entry.outer_family, entry.headers + (v4 ? 12 : 8));
  result["remote"] = address_text(entry.outer_family, entry.headers + (v4 ? 16 : 24));
  result["encapsulation"] = encapsulation_text(entry.encapsulation);
  if (entry.encapsulation == sa::Encapsulation::udp) {
    const auto* udp = entry.headers + (v4 ? 20 : 40);
    result["local_port"] = udp[0] << 8 | udp[1];
    result["remote_port"] = udp[2] << 8 | udp[3];
  }
  result["esn"] = entry.extended_sequence;
  result["sequence"] = entry.sequence.load(std::memory_order_relaxed);
  const auto path_mtu = entry.path_mtu.load(std::memory_order_relaxed);
  if (path_mtu != sa::path_mtu_unknown) result["path_mtu"] = path_mtu;
  result["selectors"] = selectors_json(entry);
  return result;
}

}  // namespace

json sa_json(const Services& services, const sa::SaReport& report) {
  auto& store = services.gateway->sas();
  auto result = report.direction == sa::Direction::inbound
                    ? inbound_json(report, store.inbound(report.index))
                    : outbound_json(report, store.outbound(report.index));
  if (const auto at = services.ike->core().rekey_at(report.spi);
      report.direction == sa::Direction::inbound && at != ike::never)
    result["rekey_in_s"] = std::max<std::int64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(at - now().steady).count(), 0);
  add_totals(result, services, report.totals);
  return result;
}

}  // namespace espgate::daemon
