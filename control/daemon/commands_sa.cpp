// show sa, show spi, show invalid-spi, sa reserve, sa delete.
#include <fmt/format.h>

#include <algorithm>

#include "control/cli/values.hpp"
#include "control/daemon/services.hpp"
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
  return result;
}

json sa_json(Services& services, const sa::SaReport& report) {
  auto& store = services.gateway->sas();
  auto result = report.direction == sa::Direction::inbound
                    ? inbound_json(report, store.inbound(report.index))
                    : outbound_json(report, store.outbound(report.index));
  add_totals(result, services, report.totals);
  return result;
}

// They are described at once: by the time a slow client has read them, one of them may be gone.
Expected<void> show_sa(Services& services, const cli::Request& request, const cli::StreamPtr& stream) {
  const auto spi = request.spi();
  const auto connection = request.text("connection");
  std::vector<sa::SaReport> wanted;
  services.sas->visit([&](const sa::SaReport& report) {
    if (spi && report.spi != *spi) return;
    if (connection && report.connection != *connection) return;
    wanted.push_back(report);
  });
  std::ranges::stable_sort(wanted, {}, &sa::SaReport::connection);
  std::vector<json> reports;
  for (const auto& report : wanted) reports.push_back(sa_json(services, report));
  if (spi && reports.empty())
    return Error{"no SA has SPI " + cli::spi_text(*spi),
                 "`show spi " + cli::spi_text(*spi) + "` tells what is known of it"};
  if (connection && reports.empty())
    return Error{"connection " + *connection + " has no SA", "`show sa` lists those that have"};
  stream->pull_all(std::move(reports));
  return {};
}

std::string explain(const sa::SpiFacts& facts, const sa::SpiReport& report) {
  using Standing = sa::SpiFacts::Standing;
  const auto outbound = [](const sa::SaReport& sa) { return sa.direction == sa::Direction::outbound; };
  const auto in_use = [&](const sa::SaReport& sa) { return outbound(sa) && sa.state == "active"; };
  switch (facts.standing) {
    case Standing::larval:
      return "allocated; its SA is not installed yet";
    case Standing::active:
      return "in use: packets with it are decrypted";
    case Standing::retired:
      return facts.reason == sa::Reason::rekeyed && facts.successor != 0
                 ? "replaced by a rekey; the peer should use " + cli::spi_text(facts.successor)
                 : fmt::format("{}; no longer in use", sa::name(facts.reason));
    case Standing::unknown:
      break;
  }
  if (std::ranges::any_of(report.sas, in_use)) return "we send with it to the peer";
  if (std::ranges::any_of(report.sas, outbound)) return "we sent with it to the peer";
  return "no SA has this SPI, nor had as far as is remembered";
}

std::string_view standing_text(sa::SpiFacts::Standing standing) {
  switch (standing) {
    case sa::SpiFacts::Standing::larval:
      return "larval";
    case sa::SpiFacts::Standing::active:
      return "active";
    case sa::SpiFacts::Standing::retired:
      return "retired";
    case sa::SpiFacts::Standing::unknown:
      break;
  }
  return "unknown";
}

Expected<json> show_spi(Services& services, std::uint32_t spi) {
  const auto report = services.sas->report(spi);
  json result{{"spi", cli::spi_text(spi)}, {"state", standing_text(report.facts.standing)},
              {"direction", nullptr},      {"connection", nullptr},
              {"local", nullptr},          {"remote", nullptr},
              {"replaced_by", nullptr},    {"explanation", explain(report.facts, report)},
              {"packets", nullptr},        {"bytes", nullptr},
              {"last", nullptr},           {"faults", json::array()},
              {"events", json::array()}};
  sa::Totals totals;
  if (!report.facts.connection.empty()) result["connection"] = report.facts.connection;
  if (report.facts.standing != sa::SpiFacts::Standing::unknown) result["direction"] = "in";
  if (report.facts.successor != 0) result["replaced_by"] = cli::spi_text(report.facts.successor);
  for (const auto& entry : report.sas) {
    const auto described = sa_json(services, entry);
    totals += entry.totals;
    for (const auto* key : {"local", "remote"})
      if (result[key].is_null()) result[key] = described[key];
    if (result["direction"].is_null()) result["direction"] = described["direction"];
    if (result["connection"].is_null()) result["connection"] = described["connection"];
    if (report.facts.standing == sa::SpiFacts::Standing::unknown || described["state"] == "expired")
      result["state"] = described["state"];
  }
  if (!report.sas.empty()) add_totals(result, services, totals);
  for (const auto& event : report.events)
    result["events"].push_back(
        {{"time", cli::time_text(event.when.wall)},
         {"event", sa::name(event.what)},
         {"detail", event.other_spi != 0 ? json(cli::spi_text(event.other_spi)) : json(nullptr)}});
  std::uint64_t invalid = 0;
  for (const auto& flow : services.invalid_spi->flows_of(spi)) invalid += flow.flow.packets;
  result["invalid_packets"] = invalid;
  return result;
}

json flow_json(const recovery::FlowReport& report) {
  const auto& flow = report.flow;
  const bool udp = flow.key.encapsulation == sa::Encapsulation::udp;
  return {{"source", net::to_string(flow.key.source)},
          {"destination", net::to_string(flow.key.destination)},
          {"spi", cli::spi_text(flow.key.spi)},
          {"protocol", udp ? 17 : 50},
          {"source_port", udp ? json(flow.source_port) : json(nullptr)},
          {"destination_port", udp ? json(4500) : json(nullptr)},
          {"port", flow.port_name()},
          {"class", recovery::name(flow.kind)},
          {"explanation", recovery::remedy(flow.kind)},
          {"packets", flow.packets},
          {"first", cli::time_text(flow.first.wall)},
          {"last", cli::time_text(flow.last.wall)},
          {"logged", flow.was_logged}};
}

Expected<json> show_invalid_spi(Services& services) {
  const auto& handler = *services.invalid_spi;
  std::uint64_t unsampled = 0;
  for (const auto& worker : services.gateway->workers()) unsampled += worker->load().spi_samples_lost.value();
  json result{{"flows", json::array()},
              {"limit", handler.table().capacity()},
              {"evicted", handler.table().evicted()},
              {"unsampled", unsampled}};
  for (const auto& report :
       handler.flows(recovery::InvalidSpiHandler::Order::last_seen, handler.table().capacity()))
    result["flows"].push_back(flow_json(report));
  return result;
}

Expected<json> reserve(Services& services, std::optional<std::uint32_t> wanted) {
  std::uint32_t spi = 0;
  if (wanted) {
    spi = *wanted;
  } else {
    auto allocated = services.sas->allocate_spi();
    if (!allocated) return allocated.error();
    spi = *allocated;
  }
  if (auto reserved = services.sas->reserve("", spi, now()); !reserved) return reserved.error();
  return json{{"spi", cli::spi_text(spi)}, {"state", "larval"}};
}

// An inbound SPI names one SA of ours; an outbound SPI is the peer's choice and may occur with several.
Expected<json> remove(Services& services, std::uint32_t spi) {
  const auto report = services.sas->report(spi);
  json result{
      {"spi", cli::spi_text(spi)}, {"direction", "in"}, {"connection", nullptr}, {"state", "retired"}};
  bool found = false;
  for (const auto& entry : report.sas) {
    if (entry.state == "retired" || entry.state == "unlinked") continue;
    found = true;
    if (!entry.connection.empty()) result["connection"] = entry.connection;
    const std::string connection(entry.connection);
    if (services.ike->delete_child(connection, entry.direction, spi, now())) {
      result["direction"] = entry.direction == sa::Direction::inbound ? "in" : "out";
      result["state"] = "closing";
      return result;
    }
    if (entry.direction == sa::Direction::inbound) {
      if (auto retired = services.sas->retire_inbound(spi, sa::Reason::deleted, now()); !retired)
        return retired.error();
      return result;
    }
    result["direction"] = "out";
    if (auto retired = services.sas->retire_outbound(connection, sa::Reason::deleted, now()); !retired)
      return retired.error();
  }
  if (!found)
    return Error{report.sas.empty() ? "no SA has SPI " + cli::spi_text(spi)
                                    : "the SA with SPI " + cli::spi_text(spi) + " is retired already",
                 "`show sa` lists the SAs"};
  return result;
}

}  // namespace

void add_sa_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_sa, [&services](const cli::Request& request, cli::StreamPtr stream) {
    return show_sa(services, request, stream);
  });
  handlers.answer(cli::CommandId::show_spi,
                  [&services](const cli::Request& request) { return show_spi(services, *request.spi()); });
  handlers.answer(cli::CommandId::show_invalid_spi,
                  [&services](const cli::Request&) { return show_invalid_spi(services); });
  handlers.answer(cli::CommandId::sa_reserve,
                  [&services](const cli::Request& request) { return reserve(services, request.spi()); });
  handlers.answer(cli::CommandId::sa_delete,
                  [&services](const cli::Request& request) { return remove(services, *request.spi()); });
}

}  // namespace espgate::daemon
