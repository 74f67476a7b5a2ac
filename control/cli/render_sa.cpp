#include <fmt/format.h>

#include <array>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> fault_kinds{"replay",    "out_of_window", "integrity",
                                                      "malformed", "policy",        "exhausted"};

std::uint64_t fault_sum(const json& sa) {
  std::uint64_t sum = 0;
  for (const auto kind : fault_kinds) sum += count_at(sa, fmt::format("faults.{}", kind));
  return sum;
}

std::string fault_list(const json& sa) {
  std::string text;
  for (const auto kind : fault_kinds) {
    const auto count = count_at(sa, fmt::format("faults.{}", kind));
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, count);
  }
  return text.empty() ? "none" : text;
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
  const std::string faults = fault_list(sa);
  return text + detail_line("faults", fault_sum(sa) > 0 ? alarm(faults, color) : faults);
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
  return table.text(color) + fmt::format("\n{} SAs\n", text_at(result, "total"));
}

std::string render_spi(const json& result, bool) {
  std::string text = fmt::format("SPI {} is {}: {}\n", text_at(result, "spi"), text_at(result, "state"),
                                 text_at(result, "explanation"));
  text += detail_line("connection", text_at(result, "connection"));
  text += detail_line("direction", text_at(result, "direction"));
  text += detail_line("local", text_at(result, "local"));
  text += detail_line("remote", text_at(result, "remote"));
  text += detail_line("replaced by", text_at(result, "replaced_by"));
  text += detail_line("invalid packets", text_at(result, "invalid_packets"));
  TextTable table({{"Time (UTC)"}, {"Event"}, {"Detail"}});
  for (const auto& event : array_at(result, "events")) {
    table.add({time_at(event, "time"), text_at(event, "event"), text_at(event, "detail")});
  }
  return table.empty() ? text : text + "\n" + table.text();
}

std::string render_invalid_spi(const json& result, bool color) {
  TextTable table({{"Source"},
                   {"Destination"},
                   {"SPI"},
                   {"Proto"},
                   {"Port"},
                   {"Class"},
                   {"Packets", Align::right},
                   {"First (UTC)"},
                   {"Last (UTC)"},
                   {"Logged", Align::right}});
  for (const auto& flow : array_at(result, "flows")) {
    const bool udp = count_at(flow, "protocol") == 17;
    table.add({endpoint_at(flow, "source", "source_port"),
               endpoint_at(flow, "destination", "destination_port"), text_at(flow, "spi"),
               std::string(udp ? "17 udp" : "50 esp"), text_at(flow, "port"), text_at(flow, "class"),
               text_at(flow, "packets"), time_at(flow, "first"), time_at(flow, "last"),
               text_at(flow, "logged")});
  }
  const std::string counts = fmt::format(
      "{} flows; {} made room for others; {} packets not sampled\n",
      part_of({{"n", array_at(result, "flows").size()}, {"limit", text_at(result, "limit")}}, "n", "limit"),
      text_at(result, "evicted"), text_at(result, "unsampled"));
  return table.empty() ? "no invalid SPIs seen\n" : table.text(color) + "\n" + counts;
}

}  // namespace espgate::cli
