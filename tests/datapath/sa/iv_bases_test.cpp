#include "datapath/sa/iv_bases.hpp"

#include <catch2/catch.hpp>
#include <vector>

using espgate::sa::IvBases;

namespace {

const std::vector<std::uint8_t> key_a(20, 0xaa);
const std::vector<std::uint8_t> key_b(20, 0xbb);
constexpr std::uint64_t now = 1'700'000'000;

}  // namespace

TEST_CASE("the IV base is the second of installation") {
  IvBases bases;
  CHECK(bases.take(key_a, now) == now << 32);
  CHECK(bases.take(key_a, now + 10) == (now + 10) << 32);
}

TEST_CASE("one key within one second gets ever higher bases, other keys are not disturbed") {
  IvBases bases;
  CHECK(bases.take(key_a, now) == now << 32);
  CHECK(bases.take(key_a, now) == (now + 1) << 32);
  CHECK(bases.take(key_b, now) == now << 32);
  CHECK(bases.take(key_a, now) == (now + 2) << 32);
  CHECK(bases.take(key_a, now + 1) == (now + 3) << 32);
  CHECK(bases.take(key_a, now + 3) == (now + 4) << 32);
  CHECK(bases.take(key_a, now + 5) == (now + 5) << 32);
}

TEST_CASE("a clock that steps back within the process repeats nothing") {
  IvBases bases;
  CHECK(bases.take(key_a, now) == now << 32);
  CHECK(bases.take(key_b, now + 100) == (now + 100) << 32);
  CHECK(bases.take(key_a, now) == (now + 100) << 32);
  CHECK(bases.take(key_a, now - 50) == (now + 101) << 32);
}
