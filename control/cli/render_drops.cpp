#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string since_line(const json& result) {
  return fmt::format("\nSince {} UTC\n", time_at(result, "since"));
}

}  // namespace

std::string render_drop_groups(const json& result, bool color) {
  TextTable table({{"Global Drop Stats"}, {"          Packets", Align::right}});
  for (const auto& group : array_at(result, "groups")) {
    table.add({text_at(group, "group"), text_at(group, "packets")});
  }
  table.add({std::string("Total"), text_at(result, "total")});
  return table.text(color) + since_line(result);
}

std::string render_drop_reasons(const json& arguments, const json& result, bool color) {
  const auto& reasons = array_at(result, "reasons");
  TextTable table({{"Drop Type", Align::right}, {"Name"}, {"Packets", Align::right}});
  for (const auto& reason : reasons) {
    table.add({text_at(reason, "number"), text_at(reason, "name"), text_at(reason, "packets")});
  }
  table.add({std::string(), std::string("Total"), text_at(result, "total")});
  std::string text = table.text(color) + since_line(result);
  if (!arguments.value("explain", false)) return text;
  for (const auto& reason : reasons) {
    text += fmt::format("\n{}  {}\n", text_at(reason, "number"), text_at(reason, "name"));
    text += detail_line("group", text_at(reason, "group"));
    text += detail_line("meaning", text_at(reason, "meaning"));
    text += detail_line("action", text_at(reason, "action"));
  }
  return text;
}

std::string render_drop_history(const json& result, bool color) {
  TextTable table({{"Drop Type", Align::right},
                   {"Name"},
                   {"1 min", Align::right},
                   {"5 min", Align::right},
                   {"30 min", Align::right}});
  const auto add = [&](std::string number, const json& row) {
    table.add({std::move(number), text_at(row, "name"), text_at(row, "last_1_min"),
               text_at(row, "last_5_min"), text_at(row, "last_30_min")});
  };
  for (const auto& reason : array_at(result, "reasons")) add(text_at(reason, "number"), reason);
  for (const auto& total : array_at(result, "totals")) add("", total);
  return table.text(color) + fmt::format("\nThe columns reach back {} s, {} s and {} s\n",
                                         text_at(result, "covered_s.last_1_min"),
                                         text_at(result, "covered_s.last_5_min"),
                                         text_at(result, "covered_s.last_30_min"));
}

std::string render_thresholds(const json& result, bool color) {
  TextTable table({{"Drop Type", Align::right},
                   {"Name"},
                   {"Per minute", Align::right},
                   {"Last minute", Align::right},
                   {"Crossed since (UTC)"},
                   {"Line", Align::right}});
  for (const auto& threshold : array_at(result, "thresholds")) {
    const bool crossed = text_at(threshold, "crossed") == "yes";
    table.add({text_at(threshold, "number"),
               text_at(threshold, "name"),
               text_at(threshold, "per_minute"),
               {text_at(threshold, "last_minute"), crossed ? Mark::alarm : Mark::plain},
               time_at(threshold, "since"),
               text_at(threshold, "line")});
  }
  return table.empty() ? "no thresholds; `thresholds` in the configuration file sets them\n"
                       : table.text(color);
}

std::string render_event(const json& item, bool) {
  return fmt::format("{} {} {}: {}\n", time_at(item, "time"), text_at(item, "event"),
                     text_at(item, "subject"), text_at(item, "text"));
}

}  // namespace espgate::cli
