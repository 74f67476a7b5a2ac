#include <fmt/format.h>

#include <utility>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::uint64_t fault_sum(const json& counts) {
  std::uint64_t sum = 0;
  for (const auto& fault : array_at(counts, "faults")) sum += count_at(fault, "packets");
  return sum;
}

// A line a reason, the number first as operators know them.
std::string fault_lines(const json& counts, bool color) {
  std::string text;
  for (const auto& fault : array_at(counts, "faults")) {
    const auto line =
        fmt::format("{} {} {}", text_at(fault, "number"), text_at(fault, "name"), text_at(fault, "packets"));
    text += detail_line(text.empty() ? "faults" : "", alarm(line, color));
  }
  return text.empty() ? detail_line("faults", "none") : text;
}

std::string last_packet(const json& counts) {
  const auto time = time_at(counts, "last");
  return detail_line("last packet", time == "-" ? time : time + " UTC");
}

// "800 of 90000 soft, 100000 hard"; "-" where nothing is limited.
std::string lifetime_text(const json& sa, std::string_view unit) {
  const auto limit = [&](std::string_view stage) {
    return text_at(sa, fmt::format("lifetime.{}_{}", stage, unit));
  };
  const auto soft = limit("soft");
  const auto hard = limit("hard");
  if (soft == "-" && hard == "-") return "-";
  auto text = text_at(sa, fmt::format("lifetime.{}", unit)) + " of";
  if (soft != "-") text += fmt::format(" {} soft{}", soft, hard == "-" ? "" : ",");
  if (hard != "-") text += fmt::format(" {} hard", hard);
  return text;
}

std::string lifetime_lines(const json& sa) {
  std::string text;
  for (const auto* unit : {"packets", "bytes", "seconds"})
    if (const auto line = lifetime_text(sa, unit); line != "-")
      text += detail_line(text.empty() ? "lifetime" : "", fmt::format("{} {}", unit, line));
  return text;
}

std::string selector_text(const json& selector) {
  const auto side = [&](std::string_view addresses, std::string_view ports) {
    const auto range = text_at(selector, ports);
    return text_at(selector, addresses) + (range == "-" ? std::string() : fmt::format(" port {}", range));
  };
  auto text =
      fmt::format("{} > {}", side("source", "source_ports"), side("destination", "destination_ports"));
  if (const auto protocol = text_at(selector, "protocol"); protocol != "-")
    text += fmt::format(", {}", protocol);
  if (const auto type = text_at(selector, "icmp_type"); type != "-") text += fmt::format(" type {}", type);
  return text;
}

std::string sa_detail(const json& sa, bool color) {
  std::string text =
      fmt::format("{}  {}  {}\n", text_at(sa, "connection"), text_at(sa, "direction"), text_at(sa, "spi"));
  text += detail_line("state", fmt::format("{} since {} UTC", text_at(sa, "state"), time_at(sa, "since")));
  text += detail_line("suite", text_at(sa, "suite"));
  text += detail_line("local", endpoint_at(sa, "local", "local_port"));
  text += detail_line("remote", endpoint_at(sa, "remote", "remote_port"));
  text += detail_line("encapsulation", text_at(sa, "encapsulation"));
  text += detail_line("esn", text_at(sa, "esn"));
  text += detail_line("replay window", text_at(sa, "window_packets"));
  if (text_at(sa, "direction") == "out") text += detail_line("path MTU", text_at(sa, "path_mtu"));
  text += detail_line("sequence number", text_at(sa, "sequence"));
  for (const auto& selector : array_at(sa, "selectors")) {
    text += detail_line("selector", selector_text(selector));
  }
  text += detail_line("packets", text_at(sa, "packets"));
  text += detail_line("bytes", text_at(sa, "bytes"));
  text += last_packet(sa);
  if (const auto time = short_time(sa, "rekey_in_s"); time != "-") text += detail_line("new keys in", time);
  return text + lifetime_lines(sa) + fault_lines(sa, color);
}

}  // namespace

std::string render_sas(const json& arguments, const json& result, bool color) {
  const auto& sas = array_at(result, "sas");
  if (arguments.contains("spi") || arguments.contains("connection")) {
    std::string text;
    for (const auto& sa : sas) text += fmt::format("{}{}", text.empty() ? "" : "\n", sa_detail(sa, color));
    return text;
  }
  TextTable table({{"Connection"},
                   {"Dir"},
                   {"SPI"},
                   {"State"},
                   {"Suite"},
                   {"Local"},
                   {"Remote"},
                   {"Encap"},
                   {"ESN"},
                   {"Window", Align::right},
                   {"Packets", Align::right},
                   {"Bytes", Align::right},
                   {"Faults", Align::right}});
  for (const auto& sa : sas) {
    const auto faults = fault_sum(sa);
    table.add({text_at(sa, "connection"),
               text_at(sa, "direction"),
               text_at(sa, "spi"),
               text_at(sa, "state"),
               text_at(sa, "suite"),
               text_at(sa, "local"),
               text_at(sa, "remote"),
               text_at(sa, "encapsulation"),
               text_at(sa, "esn"),
               text_at(sa, "window_packets"),
               text_at(sa, "packets"),
               text_at(sa, "bytes"),
               {std::to_string(faults), faults > 0 ? Mark::alarm : Mark::plain}});
  }
  if (table.empty()) return "no SAs\n";
  return table.text(color) + fmt::format("\n{}\n", counted(count_at(result, "total"), "SA"));
}

std::string render_connections(const json& result, bool color) {
  TextTable table({{"Connection"},
                   {"Keys"},
                   {"State"},
                   {"SPI in"},
                   {"SPI out"},
                   {"Packets in", Align::right},
                   {"Bytes in", Align::right},
                   {"Faults", Align::right},
                   {"Last in (UTC)"},
                   {"Packets out", Align::right},
                   {"Bytes out", Align::right},
                   {"Faults", Align::right},
                   {"Last out (UTC)"}});
  const auto faults = [](const json& counts) {
    const auto sum = fault_sum(counts);
    return Cell{std::to_string(sum), sum > 0 ? Mark::alarm : Mark::plain};
  };
  const json none = json::object();
  std::size_t up = 0;
  std::string reasons;
  for (const auto& connection : array_at(result, "connections")) {
    const auto& in = connection.contains("in") ? connection["in"] : none;
    const auto& out = connection.contains("out") ? connection["out"] : none;
    const auto state = text_at(connection, "state");
    up += state == "up";
    if (text_at(connection, "reason") != "-")
      reasons +=
          fmt::format("\n{} is {}\n", text_at(connection, "connection"), standing_of(connection, false));
    table.add({text_at(connection, "connection"),
               text_at(connection, "keys"),
               {state, state == "up" ? Mark::plain : Mark::alarm},
               text_at(connection, "inbound_spi"),
               text_at(connection, "outbound_spi"),
               text_at(in, "packets"),
               text_at(in, "bytes"),
               faults(in),
               time_at(in, "last"),
               text_at(out, "packets"),
               text_at(out, "bytes"),
               faults(out),
               time_at(out, "last")});
  }
  if (table.empty()) return "no connections\n";
  return table.text(color) + reasons +
         fmt::format("\n{} of {} up\n", up, counted(count_at(result, "total"), "connection"));
}

namespace {

// What is kept of one flow with the SPI, and what IKE did with its sender.
std::string evidence(const json& one) {
  auto text =
      fmt::format("Evidence {}: {} UTC, {} from {} to {}\n", text_at(one, "number"), time_at(one, "time"),
                  text_at(one, "class"), text_at(one, "source"), text_at(one, "destination"));
  text += detail_line("connection", text_at(one, "connection"));
  text += detail_line("repair", text_at(one, "repair"));
  text += detail_line("packets kept", text_at(one, "packets"));
  text += detail_line("files", text_at(one, "file"));
  TextTable table({{"First (UTC)"}, {"Last (UTC)"}, {"IKE"}, {"Detail"}});
  for (const auto& line : array_at(one, "ike"))
    table.add(
        {time_at(line, "time"), time_at(line, "last"), text_at(line, "event"), text_at(line, "detail")});
  return table.empty() ? text : text + table.text();
}

}  // namespace

std::string render_spi(const json& result, bool color) {
  std::string text = fmt::format("SPI {} is {}: {}\n", text_at(result, "spi"), text_at(result, "state"),
                                 text_at(result, "explanation"));
  const auto add_known = [&](std::string_view name, std::string_view key) {
    if (const auto value = text_at(result, key); value != "-") text += detail_line(name, value);
  };
  add_known("connection", "connection");
  add_known("direction", "direction");
  add_known("local", "local");
  add_known("remote", "remote");
  add_known("replaced by", "replaced_by");
  if (text_at(result, "packets") != "-") {  // else there is no SA with it
    add_known("packets", "packets");
    add_known("bytes", "bytes");
    text += last_packet(result);
    text += fault_lines(result, color);
  }
  add_known("invalid packets", "invalid_packets");
  TextTable table({{"Time (UTC)"}, {"Event"}, {"Detail"}});
  for (const auto& event : array_at(result, "events")) {
    table.add({time_at(event, "time"), text_at(event, "event"), text_at(event, "detail")});
  }
  if (!table.empty()) text.append("\n").append(table.text());
  for (const auto& one : array_at(result, "evidence")) text.append("\n").append(evidence(one));
  return text;
}

namespace {

// "All packets since the start, by class: 12 never issued, 3 stranger".
std::string packets_by(const json& counts, const std::string& key) {
  std::string text;
  for (const auto& each : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_at(each, "packets"), text_at(each, key));
  return fmt::format("All packets since the start, by {}: {}\n", key, text);
}

}  // namespace

std::string render_invalid_spi(const json& result, bool color) {
  TextTable table({{"Source"},
                   {"Destination"},
                   {"SPI"},
                   {"Proto"},
                   {"Port"},
                   {"Connection"},
                   {"Class"},
                   {"Packets", Align::right},
                   {"First (UTC)"},
                   {"Last (UTC)"},
                   {"Logged", Align::right},
                   {"Repair"}});
  for (const auto& flow : array_at(result, "flows")) {
    const bool udp = count_at(flow, "protocol") == 17;
    table.add({endpoint_at(flow, "source", "source_port"),
               endpoint_at(flow, "destination", "destination_port"), text_at(flow, "spi"),
               std::string(udp ? "17 udp" : "50 esp"), text_at(flow, "port"), text_at(flow, "connection"),
               text_at(flow, "class"), text_at(flow, "packets"), time_at(flow, "first"),
               time_at(flow, "last"), text_at(flow, "logged"), text_at(flow, "repair")});
  }
  const auto shown = array_at(result, "flows").size();
  const auto found = count_at(result, "found");
  if (array_at(result, "classes").empty()) return "no invalid SPIs seen\n";
  std::string text = table.empty() ? "no such flow is kept\n" : table.text(color) + "\n";
  if (!table.empty())
    text += fmt::format("{}{}; room for {}, {} made room for others; {} packets not sampled\n",
                        counted(shown, "flow"), found > shown ? fmt::format(" of {}", found) : "",
                        text_at(result, "limit"), text_at(result, "evicted"), text_at(result, "unsampled"));
  for (const auto& [all, one] : {std::pair{"classes", "class"}, std::pair{"repairs", "repair"}})
    if (!array_at(result, all).empty()) text += packets_by(array_at(result, all), one);
  return text;
}

}  // namespace espgate::cli
