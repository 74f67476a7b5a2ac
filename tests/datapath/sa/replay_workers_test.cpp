// Several workers on one SA's window.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/datapath/sa/from_environment.hpp"
#include "tests/datapath/sa/pace.hpp"
#include "tests/datapath/sa/replay_model.hpp"

using espgate::sa::Replay;
using espgate::test::from_environment;
using espgate::test::OwnedReplayWindow;
using espgate::test::Pace;
using espgate::test::seed;

namespace {

constexpr unsigned worker_count = Pace::worker_count;
constexpr std::uint64_t first_top = (std::uint64_t{1} << 32) - 1'000;

std::uint64_t packet_count() {
  return from_environment("ESPGATE_REPLAY_STEPS", 2'000'000) / 4;
}

// Every number once, none further from its place than `distance`.
std::vector<std::uint64_t> reordered(std::uint64_t count, std::uint64_t distance, std::uint32_t with_seed) {
  std::vector<std::uint64_t> result(count);
  std::iota(result.begin(), result.end(), first_top + 1);
  std::mt19937 random(with_seed);
  for (std::uint64_t begin = 0; begin < count; begin += distance)
    std::shuffle(result.begin() + static_cast<std::ptrdiff_t>(begin),
                 result.begin() + static_cast<std::ptrdiff_t>(std::min(begin + distance, count)), random);
  return result;
}

// In step, which takes long where CPUs are shared, and not; together with the reordering less than the
// window.
std::uint64_t packet_count(std::uint64_t most_ahead) {
  return most_ahead <= 1 ? packet_count() / 20 : packet_count();
}

}  // namespace

TEST_CASE("of two workers with the same numbers, exactly one accepts each") {
  CAPTURE(seed());
  for (const std::uint32_t window_packets : {64u, 1'024u})
    for (const std::uint64_t most_ahead : {0u, window_packets / 4}) {
      CAPTURE(window_packets, most_ahead);
      const std::uint64_t count = packet_count(most_ahead);
      OwnedReplayWindow owned(window_packets, first_top);
      Pace pace(most_ahead);
      std::vector<std::atomic<std::uint8_t>> accepted(count);
      std::vector<std::thread> workers;
      for (unsigned worker = 0; worker < worker_count; ++worker)
        workers.emplace_back([&, worker] {
          auto window = owned.view();
          std::uint64_t at = 0;
          for (const auto sequence : reordered(count, window_packets / 2, seed())) {
            pace.wait(worker, at++);
            if (window.check(sequence) != Replay::fresh) continue;
            if (window.commit(sequence) == Replay::fresh) ++accepted[sequence - first_top - 1];
          }
          pace.finish(worker);
        });
      for (auto& worker : workers) worker.join();
      std::uint64_t not_once = 0;
      for (const auto& times : accepted) not_once += times != 1;
      CHECK(not_once == 0);
      CHECK(owned.top == first_top + count);
    }
}

TEST_CASE("workers that share an SA's numbers lose none of them") {
  CAPTURE(seed());
  // Together with the reordering less than the window: in step, which takes long where CPUs are shared, and
  // not.
  for (const std::uint64_t most_ahead : {1u, 200u}) {
    CAPTURE(most_ahead);
    const std::uint64_t count = packet_count(most_ahead);
    OwnedReplayWindow owned(1'024, first_top);
    Pace pace(most_ahead);
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> forgotten{0};
    const auto sequences = reordered(count, 200, seed());
    std::vector<std::thread> workers;
    for (unsigned worker = 0; worker < worker_count; ++worker)
      workers.emplace_back([&, worker] {
        auto window = owned.view();
        for (std::uint64_t at = 0; at < count; ++at) {
          pace.wait(worker, at);
          const std::uint64_t sequence = sequences[at];
          if (sequence % worker_count == worker)
            refused += window.check(sequence) != Replay::fresh || window.commit(sequence) != Replay::fresh;
          // By now both workers are done with this one, whose ever it was.
          const auto done = most_ahead + 8;
          if (at >= done) forgotten += window.check(sequences[at - done]) != Replay::duplicate;
        }
        pace.finish(worker);
      });
    for (auto& worker : workers) worker.join();
    CHECK(refused == 0);
    CHECK(forgotten == 0);
  }
}
