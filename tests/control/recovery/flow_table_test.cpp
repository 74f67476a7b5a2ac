#include "control/recovery/flow_table.hpp"

#include <catch2/catch.hpp>
#include <list>
#include <random>
#include <set>

using namespace espgate;
using namespace espgate::recovery;

namespace {

FlowKey key(std::uint32_t spi) {
  return {net::Address::v4(0xc0000202), net::Address::v4(0xc0000201), spi, {}};
}

std::vector<std::uint32_t> order(const FlowTable& table) {
  std::vector<std::uint32_t> result;
  table.visit([&](const Flow& flow) {
    result.push_back(flow.key.spi);
    return true;
  });
  return result;
}

}  // namespace

TEST_CASE("the least recently seen flow makes room") {
  FlowTable table(3, {1, 2});
  for (const auto spi : {1u, 2u, 3u, 1u}) table.touch(key(spi)).packets++;
  CHECK(order(table) == std::vector{1u, 3u, 2u});
  table.touch(key(4));
  CHECK(order(table) == std::vector{4u, 1u, 3u});
  CHECK(table.evicted() == 1);
  CHECK(table.find(key(1))->packets == 2);
  CHECK_FALSE(table.find(key(2)));
  CHECK(table.touch(key(2)).packets == 0);  // starts anew
}

TEST_CASE("what is next to go makes room before what was seen longer ago") {
  FlowTable table(3, {1, 2});
  for (const auto spi : {1u, 2u, 3u}) table.touch(key(spi)).packets++;
  table.make_next_to_go(key(3));
  CHECK(order(table) == std::vector{2u, 1u, 3u});
  for (std::uint32_t spi = 10; spi < 20; ++spi) {
    table.touch(key(spi));
    table.make_next_to_go(key(spi));
    table.make_next_to_go(key(99));  // is not there
    CHECK(order(table) == std::vector{2u, 1u, spi});
  }
}

TEST_CASE("what is known and what is made up keep half of the table each") {
  FlowTable table(8, {1, 2});
  const auto count = [&](std::uint32_t from, std::uint32_t to) {
    const auto spis = order(table);
    return std::ranges::count_if(spis, [&](auto spi) { return spi >= from && spi < to; });
  };
  for (std::uint32_t spi = 0; spi < 3; ++spi) table.touch(key(spi), Sort::known);
  for (std::uint32_t spi = 100; spi < 200; ++spi) table.touch(key(spi));
  CHECK(count(0, 3) == 3);
  CHECK(count(195, 200) == 5);
  for (std::uint32_t spi = 200; spi < 300; ++spi) table.touch(key(spi), Sort::known);
  CHECK(count(296, 300) == 4);
  CHECK(count(196, 200) == 4);
  // In the order in which they were seen, of either sort; what is next to go last.
  table.touch(key(197));
  table.touch(key(297), Sort::known);
  table.make_next_to_go(key(299));
  CHECK(order(table) == std::vector{297u, 197u, 298u, 296u, 199u, 198u, 196u, 299u});
  table.touch(key(300), Sort::known);
  CHECK_FALSE(table.find(key(299)));
  // One that turns out to be known is.
  table.touch(key(196), Sort::known);
  for (std::uint32_t spi = 400; spi < 500; ++spi) table.touch(key(spi));
  CHECK(table.find(key(196)) != nullptr);
  CHECK(count(0, 1'000) == 8);
}

TEST_CASE("a table of one flow works") {
  FlowTable table(1, {1, 2});
  for (std::uint32_t spi = 0; spi < 100; ++spi) {
    CHECK(table.touch(key(spi)).packets++ == 0);
    CHECK(table.touch(key(spi)).packets == 1);
  }
  CHECK(order(table) == std::vector{99u});
}

TEST_CASE("every part of the key tells flows apart") {
  FlowTable table(16, {1, 2});
  auto other = key(7);
  std::set<const Flow*> flows{&table.touch(other)};
  flows.insert(&table.touch(key(8)));
  other.encapsulation = sa::Encapsulation::udp;
  flows.insert(&table.touch(other));
  other.source = net::Address::v4(1);
  flows.insert(&table.touch(other));
  other.destination.bytes[3]++;
  flows.insert(&table.touch(other));
  other.source.family = net::Family::v6;
  flows.insert(&table.touch(other));
  CHECK(flows.size() == 6);
  CHECK(table.size() == 6);
}

TEST_CASE("the table agrees with a plain list of the last seen, whatever comes") {
  constexpr std::size_t capacity = 64;
  FlowTable table(capacity, {3, 4});
  std::list<std::uint32_t> model;
  std::mt19937 random(5);
  for (int i = 0; i < 100'000; ++i) {
    const auto spi = static_cast<std::uint32_t>(random() % 100);
    table.touch(key(spi)).packets++;
    model.remove(spi);
    model.push_front(spi);
    if (model.size() > capacity) model.pop_back();
    if (i % 1000 == 0) REQUIRE(order(table) == std::vector(model.begin(), model.end()));
  }
  for (const auto spi : model) CHECK(table.find(key(spi)));
}
