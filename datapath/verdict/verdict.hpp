// The one outcome every packet has. The verdict is the index of its counter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace espgate {

enum class Verdict : std::uint8_t {
#define PASS(name, kind, meaning) name,
#define DROP(name, number, group, meaning, action) name,
#include "datapath/verdict/verdicts.def"
#undef PASS
#undef DROP
  undecided,  // still on its way; never counted
};

inline constexpr std::size_t verdict_count = static_cast<std::size_t>(Verdict::undecided);

// The groups of the global view (`show drops`), the first six named as on the QFP.
enum class DropGroup : std::uint8_t {
  IpsecInput,
  IpsecOutput,
  IpsecInvalidSa,
  IpsecDenyDrop,
  IpsecIkeIndicate,
  IpsecTailDrop,
  EthInput,
  IpInput,
  Forward,
  PortTx,
  HostPath,
};
inline constexpr std::size_t drop_group_count = 11;

enum class Outcome : std::uint8_t { tx, host, control, consumed, drop };

struct VerdictRow {
  Verdict verdict;
  Outcome outcome;
  std::string_view name;
  std::uint16_t number;  // drops only
  DropGroup group;       // drops only
  std::string_view meaning;
  std::string_view action;  // drops only: what an operator does about it
};

// All rows in enum order: rows()[index_of(v)] describes v.
std::span<const VerdictRow> verdict_rows();
std::string_view name(DropGroup group);
// By name, letter case ignored.
std::optional<DropGroup> find_drop_group(std::string_view name);
// By number ("62") or name, letter case ignored; nullptr when no drop reason is called that.
const VerdictRow* find_drop(std::string_view number_or_name);

constexpr std::size_t index_of(Verdict verdict) {
  return static_cast<std::size_t>(verdict);
}
inline const VerdictRow& row(Verdict verdict) {
  return verdict_rows()[index_of(verdict)];
}

}  // namespace espgate
