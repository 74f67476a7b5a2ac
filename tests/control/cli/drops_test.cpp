#include "control/cli/drops.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <set>

#include "control/cli/command.hpp"
#include "control/cli/shape.hpp"

using namespace espgate;
using namespace espgate::cli;
using nlohmann::json;

namespace {

// Verdict i was given i + 1 times.
std::array<std::uint64_t, verdict_count> distinct_counts() {
  std::array<std::uint64_t, verdict_count> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = i + 1;
  return counts;
}

}  // namespace

TEST_CASE("group counts are the sums of their reasons, and passed packets are in none") {
  const auto counts = distinct_counts();
  const auto groups = drops_by_group(counts, json::object(), "2025-03-01T12:00:00Z");
  CHECK(shape_difference(command(CommandId::show_drops), groups) == "");
  REQUIRE(groups["groups"].size() == drop_group_count);

  const auto reasons = drops_by_reason(counts, {{"all", true}}, "2025-03-01T12:00:00Z");
  CHECK(shape_difference(command(CommandId::show_drops_ipsec), reasons) == "");
  for (const auto& group : groups["groups"]) {
    std::uint64_t sum = 0;
    for (const auto& reason : reasons["reasons"]) {
      if (reason["group"] == group["group"]) sum += reason["packets"].get<std::uint64_t>();
    }
    CHECK(group["packets"] == sum);
  }
  std::uint64_t all = 0;
  for (const auto& row : verdict_rows())
    all += row.outcome == Outcome::drop ? counts[index_of(row.verdict)] : 0;
  CHECK(groups["total"] == all);
  CHECK(reasons["total"] == all);
}

TEST_CASE("the IPsec view has the IPsec groups only, in the order of the numbers") {
  const auto reasons = drops_by_reason(distinct_counts(), json::object(), "");
  int last = 0;
  for (const auto& reason : reasons["reasons"]) {
    CHECK(reason["group"].get<std::string>().starts_with("Ipsec"));
    CHECK(reason["number"].get<int>() > last);
    last = reason["number"];
  }
  CHECK(last == 216);
}

TEST_CASE("--nonzero leaves out what is zero and keeps the total") {
  std::array<std::uint64_t, verdict_count> counts{};
  counts[index_of(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION)] = 3;
  counts[index_of(Verdict::TTL_EXPIRED)] = 4;
  const json nonzero{{"nonzero", true}};
  const auto groups = drops_by_group(counts, nonzero, "");
  CHECK(groups["groups"] ==
        json::array({{{"group", "IpsecInput"}, {"packets", 3}}, {{"group", "Forward"}, {"packets", 4}}}));
  CHECK(groups["total"] == 7);
  const auto reasons = drops_by_reason(counts, nonzero, "");
  REQUIRE(reasons["reasons"].size() == 1);
  CHECK(reasons["reasons"][0]["number"] == 62);
  CHECK(reasons["total"] == 3);
}

TEST_CASE("shape differences are found and named") {
  const auto& row = command(CommandId::show_drops);
  auto result = json::parse(row.result);
  result["total"] = nullptr;
  CHECK(shape_difference(row, result) == "");
  result["total"] = 1.5;
  CHECK(shape_difference(row, result) == "show drops.total: a fraction instead of an integer");
  result["total"] = "3";
  CHECK(shape_difference(row, result) == "show drops.total: string instead of number");
  result.erase("total");
  CHECK(shape_difference(row, result) == "show drops.total: missing");
  result = json::parse(row.result);
  result["groups"].push_back({{"group", "x"}, {"packets", 1}, {"bytes", 2}});
  CHECK(shape_difference(row, result) == "show drops.groups[1].bytes: not in the command table");
}
