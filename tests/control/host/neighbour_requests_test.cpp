#include "control/host/neighbour_requests.hpp"

#include <catch2/catch.hpp>

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using host::NeighbourRequests;

host::NeighbourKey neighbour(std::uint32_t number, int ifindex = 2) {
  return {net::Address::v4(0x0a000000 + number), ifindex};
}

struct Counting {
  std::size_t asked = 0;
  NeighbourRequests requests{[this](int, const net::Address&) -> Expected<void> {
    ++asked;
    return {};
  }};
  NeighbourRequests::Clock::time_point now{std::chrono::hours(1)};

  void request(const host::NeighbourKey& key) { REQUIRE(requests.request(key, 1s, now)); }
};

TEST_CASE("One neighbour is asked for once in its interval") {
  Counting counting;
  for (int packet = 0; packet < 100; ++packet) counting.request(neighbour(1));
  CHECK(counting.asked == 1);
  counting.now += 999ms;
  counting.request(neighbour(1));
  CHECK(counting.asked == 1);
  counting.now += 1ms;
  counting.request(neighbour(1));
  CHECK(counting.asked == 2);
}

TEST_CASE("The same address on two links is two neighbours") {
  Counting counting;
  counting.request(neighbour(1, 2));
  counting.request(neighbour(1, 3));
  CHECK(counting.asked == 2);
}

TEST_CASE("A scan of a network is limited in all, and memory with it") {
  Counting counting;
  for (std::uint32_t number = 0; number < 5'000; ++number) counting.request(neighbour(number));
  CHECK(counting.asked == NeighbourRequests::per_second);
  CHECK(counting.requests.suppressed() == 5'000 - NeighbourRequests::per_second);
  std::uint32_t number = 5'000;
  for (int second = 0; second < 60; ++second) {
    counting.now += 1s;
    for (int packet = 0; packet < 1'000; ++packet) counting.request(neighbour(number++));
  }
  CHECK(counting.asked == NeighbourRequests::remembered);
  counting.requests.forget_before(counting.now);
  counting.now += 1s;
  counting.request(neighbour(number));
  CHECK(counting.asked == NeighbourRequests::remembered + 1);
}

TEST_CASE("The kernel's refusal comes through") {
  NeighbourRequests requests([](int, const net::Address&) -> Expected<void> {
    return Error{"the neighbour table is full", "raise gc_thresh3"};
  });
  const auto done = requests.request(neighbour(1), 1s, NeighbourRequests::Clock::time_point{1h});
  REQUIRE(!done);
  CHECK(done.error().remedy == "raise gc_thresh3");
}

}  // namespace
}  // namespace espgate::test
