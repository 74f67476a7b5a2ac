#include "datapath/verdict/verdict.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace espgate;

TEST_CASE("the rows are in enum order, with unique names and numbers and no empty text") {
  std::set<std::string_view> names;
  std::set<int> numbers;
  for (std::size_t i = 0; i < verdict_count; ++i) {
    const auto& entry = verdict_rows()[i];
    CAPTURE(entry.name);
    CHECK(index_of(entry.verdict) == i);
    CHECK(names.insert(entry.name).second);
    CHECK_FALSE(entry.meaning.empty());
    if (entry.outcome != Outcome::drop) continue;
    CHECK(numbers.insert(entry.number).second);
    CHECK(entry.number > 0);
    CHECK_FALSE(entry.action.empty());
  }
}

TEST_CASE("a drop reason is found by number and by name") {
  REQUIRE(find_drop("62"));
  CHECK(find_drop("62")->verdict == Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION);
  CHECK(find_drop("in_cd_sw_ipsec_mac_exception") == find_drop("62"));
  CHECK_FALSE(find_drop("FORWARDED"));
  CHECK_FALSE(find_drop("0"));
  CHECK_FALSE(find_drop(""));
}
