#include "datapath/verdict/verdict.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace espgate {
namespace {

constexpr std::array<VerdictRow, verdict_count> table{{
#define PASS(name, kind, meaning) {Verdict::name, Outcome::kind, #name, 0, DropGroup{}, meaning, {}},
#define DROP(name, number, group, meaning, action) \
  {Verdict::name, Outcome::drop, #name, number, DropGroup::group, meaning, action},
#include "datapath/verdict/verdicts.def"
#undef PASS
#undef DROP
}};

constexpr std::array<std::string_view, drop_group_count> group_names{
    "IpsecInput", "IpsecOutput", "IpsecInvalidSa", "IpsecDenyDrop", "IpsecIkeIndicate", "IpsecTailDrop",
    "EthInput",   "IpInput",     "Forward",        "PortTx",        "HostPath"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

std::span<const VerdictRow> verdict_rows() {
  return table;
}

std::string_view name(DropGroup group) {
  return group_names[static_cast<std::size_t>(group)];
}

std::optional<DropGroup> find_drop_group(std::string_view name) {
  const auto found = std::ranges::find_if(
      group_names, [&](std::string_view group) { return equal_ignoring_case(group, name); });
  if (found == group_names.end()) return std::nullopt;
  return static_cast<DropGroup>(found - group_names.begin());
}

const VerdictRow* find_drop(std::string_view number_or_name) {
  const auto found = std::ranges::find_if(table, [&](const VerdictRow& row) {
    return row.outcome == Outcome::drop &&
           (std::to_string(row.number) == number_or_name || equal_ignoring_case(row.name, number_or_name));
  });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace espgate
