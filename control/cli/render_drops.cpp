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

}  // namespace espgate::cli
