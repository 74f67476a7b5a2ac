#include <fmt/format.h>

#include <algorithm>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string spis_of(const json& sa, std::string_view key) {
  std::string text;
  for (const auto& child : array_at(sa, "children"))
    text += fmt::format("{}{}", text.empty() ? "" : ", ", text_at(child, key));
  return text.empty() ? "-" : text;
}

// "1" for what is offered first, "named" for what has to be named to be offered, "-" for the rest.
std::string offer_text(const json& algorithm, const std::string& whose) {
  const auto rank = text_at(algorithm, whose);
  if (rank != "-") return rank;
  return text_at(algorithm, whose + "_allowed") == "yes" ? "if named" : "-";
}

}  // namespace

std::string render_proposals(const json& result, bool color) {
  TextTable table(
      {{"Kind"}, {"Name"}, {"IKE", Align::right}, {"Traffic", Align::right}, {"Refused because"}});
  for (const auto& algorithm : array_at(result, "algorithms")) {
    const auto refused = text_at(algorithm, "refused");
    table.add({text_at(algorithm, "kind"),
               text_at(algorithm, "name"),
               offer_text(algorithm, "ike"),
               offer_text(algorithm, "traffic"),
               {refused == "-" ? "" : refused, Mark::plain}});
  }
  const auto connection = text_at(result, "connection");
  const auto whose = connection == "-" ? "the defaults" : "connection " + connection;
  std::string rest = fmt::format("\nOrder of {}\n", whose);
  for (const auto& more : array_at(result, "additional"))
    rest += fmt::format("Key exchange {} for {}: {}\n", text_at(more, "exchange"),
                        text_at(more, "for") == "ike" ? "IKE" : "traffic", text_at(more, "methods"));
  return table.empty() ? "no algorithms\n" : table.text(color) + rest;
}

std::string render_explanation(const json& result, bool color) {
  auto text =
      fmt::format("connection {} is {}\n\n", text_at(result, "connection"), standing_of(result, color));
  TextTable steps({{"Step"}, {"State"}, {"Detail"}});
  for (const auto& step : array_at(result, "steps")) {
    const auto how = text_at(step, "state");
    steps.add(
        {text_at(step, "step"), {how, how == "failed" ? Mark::alarm : Mark::plain}, text_at(step, "detail")});
  }
  TextTable settings({{"Setting"}, {"Value"}, {"Meaning"}});
  for (const auto& setting : array_at(result, "settings"))
    settings.add({text_at(setting, "setting"), text_at(setting, "value"), text_at(setting, "meaning")});
  text += steps.text(color) + "\n" + settings.text(color);
  std::string lines;
  for (const auto& line : array_at(result, "log"))
    lines += fmt::format("{}  {}\n", time_at(line, "time"), text_at(line, "text"));
  return lines.empty() ? text : text + "\nLately (UTC)\n" + lines;
}

namespace {

// A reason that is told as evidence below is not told twice.
std::string standing_before_evidence(json connection, bool color) {
  for (const auto& cause : array_at(connection, "causes"))
    for (const auto& evidence : array_at(cause, "evidence"))
      if (evidence == connection["reason"]) {
        connection["reason"] = nullptr;
        return standing_of(connection, color);
      }
  return standing_of(connection, color);
}

}  // namespace

std::string render_diagnosis(const json& result, bool color) {
  std::string text;
  for (const auto& connection : array_at(result, "connections")) {
    text += fmt::format("{}connection {} is {}\n", text.empty() ? "" : "\n",
                        text_at(connection, "connection"), standing_before_evidence(connection, color));
    bool is_first = true;
    for (const auto& cause : array_at(connection, "causes")) {
      const bool is_well = text_at(cause, "cause") == "all well";
      text += fmt::format("  {} {} ({}%)\n", is_first ? "likeliest:" : "or:       ", text_at(cause, "cause"),
                          text_at(cause, "weight"));
      for (const auto& evidence : array_at(cause, "evidence"))
        text += fmt::format("    - {}\n", text_at(json{{"text", evidence}}, "text"));
      if (!is_well) text += fmt::format("    do: {}\n", text_at(cause, "remedy"));
      is_first = false;
    }
  }
  if (text.empty())
    return fmt::format("no trouble in sight ({} looked at)\n",
                       counted(count_at(result, "looked_at"), "connection"));
  const auto left_off = count_at(result, "left_off");
  return left_off == 0 ? text : text + fmt::format("\nand {} more with trouble\n", left_off);
}

namespace {

// "Refused by limits: 2 by ike-sas-per-peer"; empty: none were.
std::string refused_text(const json& result) {
  std::string text;
  const auto refused = result.find("refused");
  if (refused == result.end() || !refused->is_object()) return text;
  for (const auto& [key, value] : refused->items()) {
    const auto count = count_at(*refused, key);
    if (count == 0) continue;
    std::string limit = key;
    std::ranges::replace(limit, '_', '-');
    text += fmt::format("{}{} by {}", text.empty() ? "\nRefused by limits: " : ", ", count, limit);
  }
  return text.empty() ? text : text + "\n";
}

}  // namespace

std::string render_ike(const json& result, bool color) {
  TextTable table({{"Connection"},
                   {"State"},
                   {"Role"},
                   {"Local"},
                   {"Remote"},
                   {"Peer"},
                   {"Age", Align::right},
                   {"Rekey in", Align::right},
                   {"SPI in"},
                   {"SPI out"}});
  std::string rest;
  for (const auto& sa : array_at(result, "ike_sas")) {
    const auto state = text_at(sa, "state");
    table.add({text_at(sa, "connection"),
               {state, state == "up" ? Mark::plain : Mark::alarm},
               text_at(sa, "role"),
               endpoint_at(sa, "local", "local_port"),
               endpoint_at(sa, "remote", "remote_port"),
               text_at(sa, "peer_id"),
               short_time(sa, "age_s"),
               short_time(sa, "rekey_in_s"),
               spis_of(sa, "inbound_spi"),
               spis_of(sa, "outbound_spi")});
    if (text_at(sa, "reason") != "-")
      rest += fmt::format("\n{} is {}\n", text_at(sa, "connection"), standing_of(sa, false));
  }
  return (table.empty() ? "no connection negotiates its keys\n" : table.text(color) + rest) +
         refused_text(result);
}

}  // namespace espgate::cli
