#include "control/daemon/failure_news.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using espgate::daemon::FailureNews;

TEST_CASE("a failure is news once for each reason, and again after it was forgotten") {
  FailureNews news(8);
  CHECK(news.take("site", "no answer", 1s));
  CHECK_FALSE(news.take("site", "no answer", 2s));
  CHECK(news.take("branch", "no answer", 2s));
  CHECK(news.take("site", "refused", 3s));
  CHECK(news.take("site", "no answer", 4s));
  CHECK_FALSE(news.take("branch", "no answer", 4s));
  news.forget("site");
  CHECK(news.take("site", "no answer", 5s));
  news.forget("nobody");
}

TEST_CASE("of too many names the one that was told of first is news again") {
  FailureNews news(2);
  for (const auto* who : {"one", "two", "three"}) CHECK(news.take(who, "why", 1s));
  CHECK_FALSE(news.take("two", "why", 1s));
  CHECK_FALSE(news.take("three", "why", 1s));
  CHECK(news.take("one", "why", 1s));
  CHECK(news.take("two", "why", 1s));
}

TEST_CASE("reasons of one that change all the time are told seldom, and take nothing from others") {
  FailureNews news(8);
  unsigned told = 0;
  for (unsigned i = 0; i < 10'000; ++i) told += news.take("site", fmt::format("reason {}", i), 1s);
  CHECK(told == FailureNews::at_once_of_one);
  CHECK(news.take("branch", "no answer", 1s));
  CHECK_FALSE(news.take("site", "another", 60s));
  CHECK(news.take("site", "another", 61s));
  news.note("site", "it went", 62s);
  CHECK_FALSE(news.take("site", "it went", 200s));
}

TEST_CASE("of many at once so many are told and no more, and what was not told stays news") {
  FailureNews news(10'000);
  unsigned told = 0;
  for (unsigned i = 0; i < 5'000; ++i) told += news.take(fmt::format("site {}", i), "no answer", 1s);
  CHECK(told == FailureNews::at_once);
  CHECK_FALSE(news.take("branch", "no answer", 1s));
  CHECK(news.take("branch", "no answer", 3s));
}
