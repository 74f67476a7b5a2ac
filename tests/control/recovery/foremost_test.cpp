#include "control/recovery/foremost.hpp"

#include <catch2/catch.hpp>
#include <string>

using espgate::recovery::Foremost;

namespace {

struct Shorter {
  bool operator()(const std::string& one, const std::string& other) const {
    return one.size() < other.size();
  }
};

}  // namespace

TEST_CASE("the first few are kept in their order, and the others are counted") {
  Foremost<std::string, Shorter> shortest(3);
  for (const auto* text : {"bbbb", "aa", "ccc", "dd", "a", "ee"}) shortest.offer(std::string(text));
  CHECK(shortest.offered() == 6);
  CHECK(shortest.left_off() == 3);
  for (const auto* text : {"a", "aa", "dd"}) CHECK(shortest.take() == text);
  CHECK_FALSE(shortest.take());
  CHECK(shortest.left_off() == 3);
}

TEST_CASE("where none may be kept all are counted") {
  Foremost<std::string, Shorter> none(0);
  none.offer(std::string("a"));
  CHECK_FALSE(none.take());
  CHECK((none.offered() == 1 && none.left_off() == 1));
}
