#include <fmt/format.h>

#include "control/config/read.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

// A drop reason by number or name, or a group of them.
std::optional<Threshold> reasons_of(const std::string& text) {
  Threshold result;
  if (const auto* drop = find_drop(text)) {
    result.name = drop->name;
    result.number = drop->number;
    result.reasons = {drop->verdict};
    return result;
  }
  const auto group = find_drop_group(text);
  if (!group) return std::nullopt;
  result.name = name(*group);
  for (const auto& row : verdict_rows())
    if (row.outcome == Outcome::drop && row.group == *group) result.reasons.push_back(row.verdict);
  return result;
}

std::string known_to_mean(const std::string& text) {
  std::vector<std::string_view> names;
  for (const auto& row : verdict_rows())
    if (row.outcome == Outcome::drop) names.push_back(row.name);
  for (std::size_t i = 0; i < drop_group_count; ++i) names.push_back(name(static_cast<DropGroup>(i)));
  const auto meant = nearest(text, names);
  return meant ? fmt::format("did you mean \"{}\"?", *meant)
               : "`espgatectl show drops ipsec --all` lists the numbers and names, `show drops` the groups";
}

void read_threshold(const GroupReader& group, Configuration& configuration, Claims<std::string>& names) {
  std::string text;
  if (!group.text("reason", text)) return;
  auto threshold = reasons_of(text);
  if (!threshold)
    return group.error("reason", fmt::format("{} is neither a drop reason nor a group of them", shown(text)),
                       known_to_mean(text));
  const auto row = group.row_of("reason");
  if (const auto* first = names.claim(threshold->name, row, group.path()))
    return group.error("reason",
                       fmt::format("{} already has a threshold, {}", threshold->name,
                                   described(*first, group.report(), row)),
                       "keep one of the two");
  if (!group.integer("per-minute", threshold->per_minute)) return;
  const auto& place = group.report().places().of(group.row());
  threshold->line = place.line;
  threshold->file = place.file;
  configuration.thresholds.push_back(std::move(*threshold));
}

}  // namespace

void read_thresholds(const GroupReader& top, Configuration& configuration) {
  Claims<std::string> names;
  top.visit("thresholds", [&](const GroupReader& group) { read_threshold(group, configuration, names); });
}

}  // namespace espgate::config
