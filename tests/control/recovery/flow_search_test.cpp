#include "control/recovery/flow_search.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace espgate;
using namespace espgate::recovery;
using namespace std::chrono_literals;
using Order = FlowSearch::Order;

namespace {

struct Table {
  void add(std::uint32_t spi, std::uint64_t packets, Class kind = Class::stranger) {
    FlowKey key;
    key.spi = spi;
    auto& flow = flows.touch(key);
    flow.packets = packets;
    flow.kind = kind;
    flow.last.steady = now += 1s;
  }
  std::vector<std::uint32_t> spis(
      Order order, std::size_t most,
      std::function<bool(const Flow&)> wanted = [](const Flow&) { return true; }) {
    FlowSearch search(flows, order, most, std::move(wanted));
    while (search.look()) ++turns;
    found = search.found();
    std::vector<std::uint32_t> result;
    while (const auto flow = search.take()) result.push_back(flow->key.spi);
    return result;
  }

  FlowTable flows{1'000, {1, 2}};
  std::chrono::nanoseconds now{};
  std::uint64_t found = 0;
  std::size_t turns = 0;
};

}  // namespace

TEST_CASE("flows are shown by time and by number") {
  Table table;
  CHECK(table.spis(Order::last_seen, 10).empty());
  table.add(1000, 1);
  table.add(1001, 3);
  table.add(1002, 2);
  table.add(1003, 3);
  CHECK(table.spis(Order::last_seen, 10) == std::vector{1003u, 1002u, 1001u, 1000u});
  CHECK(table.spis(Order::last_seen, 2) == std::vector{1003u, 1002u});
  CHECK(table.spis(Order::packets, 3) == std::vector{1003u, 1001u, 1002u});
  CHECK(table.found == 4);
  CHECK(table.spis(Order::packets, 0).empty());
  CHECK(table.spis(Order::packets, 9, [](const Flow& flow) { return flow.packets != 3; }) ==
        std::vector{1002u, 1000u});
  CHECK(table.found == 2);
}

TEST_CASE("flows of a flood are behind all others, unless they have the most packets") {
  Table table;
  table.add(1000, 1);
  for (std::uint32_t spi = 2000; spi < 2500; ++spi) table.add(spi, 2, Class::flood);
  CHECK(table.spis(Order::last_seen, 2) == std::vector{1000u, 2499u});
  CHECK(table.spis(Order::packets, 2) == std::vector{2499u, 2498u});
  CHECK(table.found == 501);
}

TEST_CASE("a full table is looked through some at a time") {
  Table table;
  for (std::uint32_t spi = 0; spi < 1'000; ++spi) table.add(1'000 + spi, spi);
  CHECK(table.spis(Order::packets, 1'000).size() == 1'000);
  CHECK(table.turns == 1'000 / FlowSearch::at_once);
}
