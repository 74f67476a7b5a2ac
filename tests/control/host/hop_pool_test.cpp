#include "control/host/hop_pool.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "tests/control/host/fake_sink.hpp"

namespace espgate::test {
namespace {

using forward::HopKind;
using host::HopPlan;
using host::HopPool;

const std::vector<host::PortTwin> ports = {{0, 2, "outside", {2, 0, 0, 0, 0, 1}, 1500, 0},
                                           {1, 3, "inside", {2, 0, 0, 0, 0, 2}, 1500, 0x123},
                                           {2, 4, "lan", {2, 0, 0, 0, 0, 3}, 1500, net::vlans_of(7, 0x123)}};

HopPlan resolved(std::uint8_t port, const char* gateway) {
  return {HopKind::resolved, port, 1500, net::parse_address(gateway), {2, 0, 0, 0, 0, 9}};
}

std::vector<std::uint8_t> frame_of(const forward::Hop& hop) {
  return {hop.frame, hop.frame + hop.frame_bytes};
}

TEST_CASE("A resolved hop holds the frame of its port, with its tags") {
  FakeSink sink;
  HopPool pool(sink, ports, 100);
  const auto plain = pool.acquire(resolved(0, "10.0.0.2"));
  REQUIRE(plain);
  CHECK(frame_of(sink.hops.at(*plain)) ==
        std::vector<std::uint8_t>{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0, 0});
  const auto tagged = pool.acquire(resolved(1, "10.1.0.2"));
  REQUIRE(tagged);
  CHECK(frame_of(sink.hops.at(*tagged)) ==
        std::vector<std::uint8_t>{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x01, 0x23, 0, 0});
  const auto twice = pool.acquire(resolved(2, "10.2.0.2"));
  REQUIRE(twice);
  CHECK(frame_of(sink.hops.at(*twice)) == std::vector<std::uint8_t>{2,    0, 0,    0,    0,    9,    2, 0,
                                                                    0,    0, 0,    3,    0x88, 0xa8, 0, 7,
                                                                    0x81, 0, 0x01, 0x23, 0,    0});
  CHECK(sink.hops.at(*tagged).port == 1);
  CHECK(sink.hops.at(*tagged).mtu == 1500);
}

TEST_CASE("An unresolved hop names whom to ask and holds no frame") {
  FakeSink sink;
  HopPool pool(sink, ports, 100);
  auto plan = resolved(0, "10.0.0.2");
  plan.kind = HopKind::unresolved;
  const auto index = pool.acquire(plan);
  REQUIRE(index);
  CHECK(sink.hops.at(*index).frame_bytes == 0);
  CHECK(sink.hops.at(*index).gateway == *net::parse_address("10.0.0.2"));
  REQUIRE(pool.plan_of(*index) != nullptr);
  CHECK(*pool.plan_of(*index) == plan);
}

TEST_CASE("Equal plans share a hop; it goes with its last user, and only when reaped") {
  FakeSink sink;
  HopPool pool(sink, ports, 100);
  const auto plan = resolved(0, "10.0.0.2");
  const auto first = pool.acquire(plan);
  const auto second = pool.acquire(plan);
  REQUIRE(first);
  REQUIRE(second);
  CHECK(*first == *second);
  pool.release(plan);
  CHECK(pool.reap(10));
  CHECK(sink.hops.contains(*first));
  pool.release(plan);
  CHECK(sink.hops.contains(*first));
  CHECK(pool.reap(10));
  CHECK_FALSE(sink.hops.contains(*first));
  CHECK(pool.plan_of(*first) == nullptr);
}

TEST_CASE("A hop that is wanted again before it is reaped stays") {
  FakeSink sink;
  HopPool pool(sink, ports, 100);
  const auto plan = resolved(0, "10.0.0.2");
  const auto index = pool.acquire(plan);
  REQUIRE(index);
  pool.release(plan);
  REQUIRE(pool.acquire(plan));
  CHECK(pool.reap(10));
  CHECK(sink.hops.contains(*index));
}

TEST_CASE("No route is hop 0 and takes no room") {
  FakeSink sink;
  HopPool pool(sink, ports, 100);
  const auto index = pool.acquire({});
  REQUIRE(index);
  CHECK(*index == forward::no_route_hop);
  pool.release({});
  CHECK(pool.reap(10));
  CHECK(pool.size() == 0);
}

TEST_CASE("Its table has room for all hops from the start") {
  FakeSink sink;
  HopPool pool(sink, ports, 5'000);
  const auto room = pool.room();
  CHECK(room >= 5'000);
  for (std::uint32_t i = 0; i < 5'000; ++i)
    REQUIRE(pool.acquire({HopKind::resolved, 0, 1500, net::Address::v4(0x0a000000 + i), {2, 0, 0, 0, 0, 9}}));
  CHECK(pool.size() == 5'000);
  CHECK(pool.room() == room);
}

TEST_CASE("At the limit unused hops give way, then the error comes through") {
  FakeSink sink;
  sink.hop_limit = 1;
  HopPool pool(sink, ports, 100);
  const auto first = resolved(0, "10.0.0.2");
  const auto second = resolved(0, "10.0.0.3");
  REQUIRE(pool.acquire(first));
  const auto refused = pool.acquire(second);
  REQUIRE(!refused);
  CHECK(refused.error().what == "all hops in use");
  pool.release(first);
  CHECK(pool.acquire(second).has_value());
}

}  // namespace
}  // namespace espgate::test
