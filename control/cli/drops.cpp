#include "control/cli/drops.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace espgate::cli {
namespace {

using nlohmann::json;

std::vector<const VerdictRow*> drops_in_number_order() {
  std::vector<const VerdictRow*> drops;
  for (const auto& entry : verdict_rows()) {
    if (entry.outcome == Outcome::drop) drops.push_back(&entry);
  }
  std::ranges::stable_sort(drops, {}, &VerdictRow::number);
  return drops;
}

}  // namespace

json drops_by_group(VerdictCounts counts, const json& arguments, const std::string& since) {
  std::array<std::uint64_t, drop_group_count> sums{};
  std::uint64_t total = 0;
  for (const auto* entry : drops_in_number_order()) {
    sums[static_cast<std::size_t>(entry->group)] += counts[index_of(entry->verdict)];
    total += counts[index_of(entry->verdict)];
  }
  const bool nonzero = arguments.value("nonzero", false);
  json groups = json::array();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (nonzero && sums[i] == 0) continue;
    groups.push_back({{"group", name(static_cast<DropGroup>(i))}, {"packets", sums[i]}});
  }
  return {{"groups", std::move(groups)}, {"total", total}, {"since", since}};
}

json drops_by_reason(VerdictCounts counts, const json& arguments, const std::string& since) {
  const bool nonzero = arguments.value("nonzero", false);
  const bool all = arguments.value("all", false);
  std::uint64_t total = 0;
  json reasons = json::array();
  for (const auto* entry : drops_in_number_order()) {
    const std::uint64_t packets = counts[index_of(entry->verdict)];
    if (!all && entry->group > DropGroup::IpsecTailDrop) continue;
    total += packets;
    if (nonzero && packets == 0) continue;
    reasons.push_back({{"number", entry->number},
                       {"name", entry->name},
                       {"group", name(entry->group)},
                       {"packets", packets},
                       {"meaning", entry->meaning},
                       {"action", entry->action}});
  }
  return {{"reasons", std::move(reasons)}, {"total", total}, {"since", since}};
}

}  // namespace espgate::cli
