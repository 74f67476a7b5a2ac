#include "datapath/base/log_limiter.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace std::chrono_literals;

namespace {

enum class Topic : std::uint8_t { one, other, count };
constexpr auto topics = static_cast<std::size_t>(Topic::count);

}  // namespace

TEST_CASE("the same is said once a minute, with how often it was not, and other things besides") {
  LogLimiter<Topic, topics> limiter;
  CHECK(limiter.say(Topic::one, "a", 0s) == "a");
  CHECK_FALSE(limiter.say(Topic::one, "b", 1s));
  CHECK_FALSE(limiter.say(Topic::one, "c", 59s));
  CHECK(limiter.say(Topic::other, "d", 59s) == "d");
  CHECK(limiter.say(Topic::one, "e", 60s) == "e (and 2 times before)");
  CHECK_FALSE(limiter.say(Topic::one, "f", 119s));
  CHECK(limiter.say(Topic::one, "g", 1h) == "g (and 1 times before)");
  CHECK(limiter.say(Topic::one, "h", 2h) == "h");
}

TEST_CASE("where several are said a minute, no more are, and the next minute begins with what comes then") {
  LogLimiter<Topic, topics, 3> limiter;
  for (const auto* text : {"a", "b", "c"}) CHECK(limiter.say(Topic::one, text, 10s) == text);
  for (int i = 0; i < 1'000; ++i) CHECK_FALSE(limiter.say(Topic::one, "d", 69s));
  CHECK(limiter.say(Topic::one, "e", 70s) == "e (and 1000 times before)");
  CHECK(limiter.say(Topic::one, "f", 71s) == "f");
  CHECK(limiter.say(Topic::one, "g", 129s) == "g");
  CHECK_FALSE(limiter.say(Topic::one, "h", 129s));
}
