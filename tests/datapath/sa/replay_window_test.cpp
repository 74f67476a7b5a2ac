#include "datapath/sa/replay_window.hpp"

#include <catch2/catch.hpp>

#include "tests/datapath/sa/from_environment.hpp"
#include "tests/datapath/sa/replay_model.hpp"

using espgate::sa::Replay;
using espgate::sa::replay_cells;
using espgate::sa::ReplayWindow;
using espgate::test::from_environment;
using espgate::test::OwnedReplayWindow;
using espgate::test::ReplayModel;
using espgate::test::seed;

namespace {

constexpr std::uint64_t two_to_32 = std::uint64_t{1} << 32;
constexpr auto fresh = Replay::fresh;
constexpr auto duplicate = Replay::duplicate;
constexpr auto out_of_window = Replay::out_of_window;

struct Step {
  std::uint64_t sequence;
  Replay expected;
};

void run(std::uint32_t window_packets, std::initializer_list<Step> steps) {
  for (const bool exclusive : {false, true}) {
    OwnedReplayWindow owned(window_packets);
    auto window = owned.view();
    int number = 0;
    for (const auto& [sequence, expected] : steps) {
      CAPTURE(window_packets, exclusive, ++number, sequence);
      REQUIRE(window.check(sequence) == expected);
      REQUIRE((exclusive ? window.commit_exclusive(sequence) : window.commit(sequence)) == expected);
    }
  }
}

// Windows begin anew when they have come this far: two such ways are less than 2^37 numbers, after which a
// cell's old block could pass for a new one, as replay_window.hpp says.
constexpr std::uint64_t farthest = std::uint64_t{1} << 36;

std::uint64_t far(std::mt19937_64& random) {
  return random() % farthest >> (random() % 36);
}

// Mostly in order, now and then anywhere that matters.
std::uint64_t next_sequence(std::mt19937_64& random, std::uint64_t top, std::uint64_t window) {
  const std::uint64_t ring = std::uint64_t{32} * replay_cells(static_cast<std::uint32_t>(window));
  switch (random() % 16) {
    case 0:
      return top - window;
    case 1:
      return top - window + 1;
    case 2:
      return top;
    case 3:
      return top - random() % (4 * window);
    case 4:
      return top + random() % window;
    case 5:
      return top + window + random() % 3 - 1;
    case 6:
      return top + ring + random() % 3 - 1;
    case 7:
      return random() % 50 == 0 ? top + far(random) : top + 1;
    case 8:
      return random() % 50 == 0 ? far(random) : top + 2;
    case 9:
    case 10:
      return top - random() % window;
    default:
      return top + 1;
  }
}

}  // namespace

TEST_CASE("a window moves with the highest number and remembers what it holds") {
  run(64, {{0, duplicate},
           {1, fresh},
           {1, duplicate},
           {9, fresh},
           {8, fresh},
           {8, duplicate},
           {64, fresh},
           {2, fresh},
           {65, fresh},
           {1, out_of_window},  // top - W
           {2, duplicate},      // top - W + 1
           {3, fresh},
           {1'000, fresh},  // a jump larger than the ring
           {1'000 - 64, out_of_window},
           {1'000 - 63, fresh},
           {65, out_of_window},
           {1'000, duplicate},
           {1'000 + 128, fresh},  // the same cell, a lap later
           {1'000, out_of_window},
           {1'000 + 65, fresh}});
}

TEST_CASE("a window that is not a multiple of a block ends where it says") {
  run(100, {{100, fresh}, {1, fresh}, {101, fresh}, {1, out_of_window}, {2, fresh}, {2, duplicate}});
  run(65'536, {{65'536, fresh}, {1, fresh}, {65'537, fresh}, {1, out_of_window}, {2, fresh}});
}

TEST_CASE("sequence numbers run through 2^32 and up to the last one") {
  run(64, {{two_to_32 - 1, fresh},
           {two_to_32 + 1, fresh},
           {two_to_32, fresh},
           {two_to_32, duplicate},
           {two_to_32 - 1, duplicate},
           {1, out_of_window},
           {two_to_32 * 32 - 1, fresh},  // where the stored block number wraps
           {two_to_32 * 32 + 5, fresh},
           {two_to_32 * 32 - 1, duplicate},
           {two_to_32 * 32 - 2, fresh}});
  run(64, {{~std::uint64_t{0} - 1, fresh},
           {~std::uint64_t{0}, fresh},
           {~std::uint64_t{0}, duplicate},
           {~std::uint64_t{0} - 63, fresh},
           {~std::uint64_t{0} - 64, out_of_window},
           {0, duplicate},
           {1, out_of_window}});
}

TEST_CASE("a ring has a cell for every block that a window can touch") {
  CHECK(replay_cells(64) == 4);
  CHECK(replay_cells(1'024) == 64);
  CHECK(replay_cells(65'536) == 4'096);
  for (std::uint32_t window = 64; window <= 65'536; window += window / 7)
    CHECK(replay_cells(window) >= (window + 30) / 32 + 1);
}

TEST_CASE("a commit that comes late neither succeeds nor rolls its cell back") {
  OwnedReplayWindow owned(64);
  auto window = owned.view();
  REQUIRE(window.commit(5) == fresh);
  REQUIRE(window.check(6) == fresh);  // decrypting 6 takes its time ...
  const std::uint64_t a_lap_later = 6 + 32 * replay_cells(64);
  REQUIRE(window.commit(a_lap_later) == fresh);
  const std::uint64_t cell = window.cell_of(6)->load();
  CHECK(window.commit(6) == out_of_window);
  CHECK(window.cell_of(6)->load() == cell);
  CHECK(window.commit(a_lap_later) == duplicate);
}

TEST_CASE("numbers of one block committed together get the answers they would get one by one") {
  CAPTURE(seed());
  std::mt19937_64 random(seed());
  constexpr std::uint64_t tops[] = {0, 40, two_to_32 - 500, ~std::uint64_t{0} - 100'000};
  for (const std::uint32_t window_packets : {64u, 65u, 1'024u})
    for (const auto first_top : tops) {
      ReplayModel model{window_packets, first_top};
      OwnedReplayWindow owned(window_packets, first_top);
      auto window = owned.view();
      for (int step = 0; step < 2'000; ++step) {
        const auto block = (model.top + random() % 96 - random() % (2 * window_packets)) / 32;
        const auto bits = static_cast<std::uint32_t>(random() & (random() | random()));
        const auto committed = window.commit_block(block, bits);
        for (std::uint64_t i = 0; i < 32; ++i) {
          const auto sequence = block * 32 + i;
          if ((bits >> i & 1) == 0) continue;
          CAPTURE(window_packets, step, sequence, model.top);
          REQUIRE(committed.of(sequence) == model.commit(sequence));
        }
        REQUIRE((committed.fresh & ~bits) == 0);
        REQUIRE(owned.top == model.top);
      }
    }
}

TEST_CASE("the window does what the model does") {
  CAPTURE(seed());
  std::mt19937_64 random(seed());
  constexpr std::uint32_t windows[] = {64, 65, 127, 1'024, 65'536};
  constexpr std::uint64_t tops[] = {0, two_to_32 - 500, two_to_32 * 32 - 500, ~std::uint64_t{0} - 5'000};
  const auto steps =
      from_environment("ESPGATE_REPLAY_STEPS", 2'000'000) / std::size(windows) / std::size(tops);
  for (const auto window_packets : windows) {
    for (const auto first_top : tops) {
      ReplayModel model{window_packets, first_top};
      OwnedReplayWindow owned(window_packets, first_top);
      auto window = owned.view();
      for (std::uint64_t step = 0; step < steps; ++step) {
        const std::uint64_t sequence = next_sequence(random, model.top, window_packets);
        // After the last number nothing can follow: begin again.
        if (model.top > ~std::uint64_t{0} - 100 || model.top - first_top >= farthest) {
          model = ReplayModel{window_packets, first_top};
          owned.top = first_top;
          for (std::uint32_t i = 0; i < replay_cells(window_packets); ++i) owned.cells[i] = 0;
        }
        const auto expected = model.check(sequence);
        const auto checked = window.check(sequence);
        const auto committed =
            random() % 2 == 0 ? window.commit(sequence) : window.commit_exclusive(sequence);
        if (checked == expected && committed == expected && model.commit(sequence) == expected &&
            owned.top == model.top)
          continue;
        FAIL("window " << window_packets << ", step " << step << ", sequence " << sequence << ", model top "
                       << model.top << ", top " << owned.top.load());
      }
    }
  }
}

TEST_CASE("the high half is inferred as RFC 4303 appendix A2.2 says") {
  const auto full = [](std::uint32_t low, std::uint64_t top) {
    return ReplayWindow::full_sequence(low, top, 64, true);
  };
  SECTION("case A: the window lies within one subspace") {
    const std::uint64_t top = 5 * two_to_32 + 1'000;
    CHECK(full(1'000 - 63, top) == 5 * two_to_32 + 1'000 - 63);
    CHECK(full(1'000, top) == top);
    CHECK(full(1'001, top) == top + 1);
    CHECK(full(0xffff'ffff, top) == 5 * two_to_32 + 0xffff'ffff);
    CHECK(full(1'000 - 64, top) == 6 * two_to_32 + 1'000 - 64);  // left of the bottom: the next subspace
    CHECK(full(0, top) == 6 * two_to_32);
    CHECK(full(63, 5 * two_to_32 + 63) == 5 * two_to_32 + 63);
    CHECK(full(0, 5 * two_to_32 + 63) == 5 * two_to_32);  // Tl = W - 1: the bottom is 0
  }
  SECTION("case B: the window spans two subspaces") {
    const std::uint64_t top = 5 * two_to_32 + 10;
    CHECK(full(10, top) == top);
    CHECK(full(11, top) == top + 1);
    CHECK(full(0, top) == 5 * two_to_32);
    CHECK(full(0xffff'ffff, top) == 5 * two_to_32 - 1);
    CHECK(full(static_cast<std::uint32_t>(10 - 63), top) == top - 63);
    CHECK(full(static_cast<std::uint32_t>(10 - 64), top) == 6 * two_to_32 + 10 - 64);
  }
  SECTION("no underflow while the high half is 0") {
    CHECK(full(1, 0) == 1);
    CHECK(full(0xffff'ffff, 0) == 0xffff'ffff);
    CHECK(full(0xffff'ffff, 10) == 0xffff'ffff);
    CHECK(full(0xffff'fff0, 62) == 0xffff'fff0);
  }
  SECTION("crossing 2^32") {
    CHECK(full(0, two_to_32 - 1) == two_to_32);
    CHECK(full(5, two_to_32 - 1) == two_to_32 + 5);
    CHECK(full(0xffff'ffff, two_to_32) == two_to_32 - 1);
  }
  SECTION("at the end of all numbers the sum wraps to one that the window refuses") {
    const std::uint64_t top = ~std::uint64_t{0} - 5;
    CHECK(full(0xffff'ffff, top) == ~std::uint64_t{0});
    CHECK(full(3, top) == 3);
    OwnedReplayWindow owned(64, top);
    CHECK(owned.view().check(3) == out_of_window);
  }
  SECTION("without ESN there is no high half") {
    CHECK(ReplayWindow::full_sequence(7, 0xffff'fff0, 64, false) == 7);
  }
  SECTION("with the window off, the nearest to top") {
    const std::uint64_t top = 5 * two_to_32 + 10;
    CHECK(ReplayWindow::full_sequence(11, top, 0, true) == top + 1);
    CHECK(ReplayWindow::full_sequence(0xffff'0000, top, 0, true) == 4 * two_to_32 + 0xffff'0000);
    CHECK(ReplayWindow::full_sequence(3, 2, 0, true) == 3);
  }
}

TEST_CASE("inference returns every number near the window from its low half") {
  CAPTURE(seed());
  std::mt19937_64 random(seed());
  for (int i = 0; i < 200'000; ++i) {
    const auto window = static_cast<std::uint32_t>(64 + random() % 65'000);
    const std::uint64_t top =
        (random() % 4 * two_to_32) + random() % 3 * (two_to_32 / 2) + random() % 200'000;
    const std::uint64_t bottom = top >= window - 1 ? top - (window - 1) : 0;
    const std::uint64_t sequence = bottom + random() % two_to_32;
    CAPTURE(window, top, sequence);
    REQUIRE(ReplayWindow::full_sequence(static_cast<std::uint32_t>(sequence), top, window, true) == sequence);
  }
}
