#include "datapath/base/token_bucket.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <random>

using namespace espgate;
using namespace std::chrono_literals;

namespace {

// The most that pass within any second of ten, if as many are asked for as there can be.
std::size_t most_in_a_second(TokenBucket& bucket, TokenBucket::Time now = 1h) {
  std::deque<TokenBucket::Time> passed;
  std::size_t most = 0;
  for (const auto end = now + 10s; now < end; now += 1ms) {
    while (!passed.empty() && now - passed.front() >= 1s) passed.pop_front();
    while (bucket.take(now)) passed.push_back(now);
    most = std::max(most, passed.size());
  }
  return most;
}

}  // namespace

TEST_CASE("of a second that ends while another begins, no more pass than in any other") {
  TokenBucket bucket(100);
  const auto most = most_in_a_second(bucket);
  CHECK(most >= 120);
  CHECK(most <= 125);
  TokenBucket few(4, 1);
  CHECK(most_in_a_second(few) <= 5);
}

TEST_CASE("in the long run it is the rate, however it is asked for") {
  TokenBucket bucket(50);
  std::mt19937 random(1);
  unsigned passed = 0;
  for (TokenBucket::Time now = 1h; now < 1h + 100s; now += std::chrono::microseconds(random() % 2'000))
    passed += bucket.take(now);
  CHECK(passed >= 100 * 50);
  CHECK(passed <= 100 * 50 + 12 + 1);
}

TEST_CASE("what was not taken for long is no more than the burst, and a full one says so") {
  TokenBucket bucket(8, 3);
  CHECK(bucket.is_full(0s));
  CHECK(bucket.take(0s));
  CHECK_FALSE(bucket.is_full(0s));
  CHECK(bucket.take(0s));
  CHECK(bucket.has_one(0s));
  CHECK(bucket.take(0s));
  CHECK_FALSE(bucket.has_one(0s));
  CHECK_FALSE(bucket.take(124ms));
  CHECK(bucket.take(125ms));
  CHECK_FALSE(bucket.is_full(499ms));
  CHECK(bucket.is_full(500ms));
  unsigned passed = 0;
  while (bucket.take(1h)) ++passed;
  CHECK(passed == 3);
}

TEST_CASE("of none a second none pass, and of one a second one does") {
  TokenBucket none(0), one(1);
  CHECK_FALSE(none.take(0s));
  CHECK_FALSE(none.take(24h));
  CHECK(one.take(0s));
  CHECK_FALSE(one.take(999ms));
  CHECK(one.take(1s));
}
