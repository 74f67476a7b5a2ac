#include "control/daemon/ended_ike_sas.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::daemon;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t most = EndedIkeSas::most;

ike::KeysEnded ended_sa(std::uint64_t spi, bool is_proven = true) {
  ike::KeysEnded ended;
  ended.connection = "site";
  ended.is_proven = is_proven;
  ended.spis = {spi, 1};
  ended.keys.d = Secret(std::size_t{32});
  return ended;
}

std::vector<std::uint64_t> spis_of(const EndedIkeSas& ended) {
  std::vector<std::uint64_t> spis;
  std::uint64_t last = 0;
  while (const auto* entry = ended.next_after(last)) {
    CHECK(entry->number > last);
    last = entry->number;
    spis.push_back(entry->sa.spis.initiator);
  }
  return spis;
}

}  // namespace

TEST_CASE("keys of what ended are kept only while that is allowed, and forgotten when it no longer is") {
  EndedIkeSas ended;
  ended.add(ended_sa(1), {});
  CHECK(spis_of(ended).empty());
  ended.allow(true);
  ended.add(ended_sa(2), {5s, {}});
  ended.add(ended_sa(3), {});
  ended.allow(true);
  CHECK(spis_of(ended) == std::vector<std::uint64_t>{2, 3});
  CHECK(ended.next_after(0)->when.steady == 5s);
  CHECK(ended.next_after(0)->sa.connection == "site");
  ended.allow(false);
  CHECK(spis_of(ended).empty());
  ended.add(ended_sa(4), {});
  ended.allow(true);
  CHECK(spis_of(ended).empty());
}

TEST_CASE("the oldest goes for the newest, also while they are read one after the other") {
  EndedIkeSas ended;
  ended.allow(true);
  for (std::uint64_t spi = 1; spi <= most + 10; ++spi) ended.add(ended_sa(spi), {});
  const auto spis = spis_of(ended);
  REQUIRE(spis.size() == most);
  CHECK(spis.front() == 11);
  CHECK(spis.back() == most + 10);
  // Who has read the first goes on where there still is something.
  const auto first = ended.next_after(0)->number;
  for (int i = 0; i < 5; ++i) ended.add(ended_sa(1'000), {});
  CHECK(ended.next_after(first)->sa.spis.initiator == 16);
}

TEST_CASE("those who prove nothing take no places of peers, and find their own however many peers came") {
  EndedIkeSas ended;
  ended.allow(true);
  ended.add(ended_sa(1, false), {});
  for (std::uint64_t spi = 2; spi <= most + 1; ++spi) ended.add(ended_sa(spi), {});
  CHECK(spis_of(ended).front() == 1);
  for (std::uint64_t spi = most + 2; spi <= 3 * most; ++spi) ended.add(ended_sa(spi, false), {});
  const auto spis = spis_of(ended);
  REQUIRE(spis.size() == 2 * most);
  CHECK(spis.front() == 2);
  CHECK(spis.at(most - 1) == most + 1);
  CHECK(spis.at(most) == 2 * most + 1);
  CHECK(spis.back() == 3 * most);
}
