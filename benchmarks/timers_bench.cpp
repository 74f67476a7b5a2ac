// What the timers of many SAs cost the control loop: one deadline for each IKE SA, and the two ends of each
// ESP SA's lifetime. The time column is of no use; "ns" is one operation.
//   build-bench/benchmarks/timers_bench [--benchmark_filter=...]
#include <benchmark/benchmark.h>

#include <chrono>
#include <random>
#include <vector>

#include "control/ike/deadlines.hpp"
#include "control/sa/lifetimes.hpp"

using namespace espgate;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned period_s = 3'600;  // between an SA's timers

// Some time of the next period.
class Times {
 public:
  std::chrono::nanoseconds after(std::chrono::nanoseconds now) {
    return now + std::chrono::microseconds(1 + random_() % (period_s * 1'000'000ULL));
  }
  std::uint32_t one_of(std::uint32_t count) { return static_cast<std::uint32_t>(random_() % count); }

 private:
  std::mt19937_64 random_{8};
};

template <typename Operation>
void measure(benchmark::State& state, Operation operation) {
  const auto begin = Clock::now();
  for (auto unused : state) operation();
  const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
  state.counters["ns"] = took.count() / static_cast<double>(state.iterations());
}

struct IkeTimers {
  explicit IkeTimers(const benchmark::State& state) : count(static_cast<std::uint32_t>(state.range(0))) {
    deadlines.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) deadlines.set(i + 1, times.after(0s));
  }

  std::uint32_t count;
  Times times;
  ike::Deadlines deadlines;
};

// As each message of an SA does.
void ike_deadline_moves(benchmark::State& state) {
  IkeTimers timers(state);
  measure(state,
          [&] { timers.deadlines.set(1 + timers.times.one_of(timers.count), timers.times.after(0s)); });
}

// The first that is due, and when that SA is due again.
void ike_deadline_due(benchmark::State& state) {
  IkeTimers timers(state);
  measure(state, [&] {
    const auto now = timers.deadlines.next();
    timers.deadlines.set(timers.deadlines.due(now), timers.times.after(now));
  });
}

struct SaTimers {
  explicit SaTimers(const benchmark::State& state) : began(static_cast<std::size_t>(state.range(0))) {
    for (std::uint32_t i = 0; i < began.size(); ++i) watch(i, times.after(0s));
  }
  static sa::SaName name(std::uint32_t number) { return {sa::Direction::inbound, number, 0x1000 + number}; }
  void watch(std::uint32_t number, std::chrono::nanoseconds at) {
    began[number] = {at, {}};
    lifetimes.watch(name(number), lifetime, began[number]);
  }

  const sa::Lifetime lifetime{.soft_seconds = period_s, .hard_seconds = period_s + 60};
  Times times;
  std::vector<Moment> began;
  sa::Lifetimes lifetimes;
};

// As a rekey does: one SA goes, and one comes.
void lifetime_replaced(benchmark::State& state) {
  SaTimers timers(state);
  const auto count = static_cast<std::uint32_t>(timers.began.size());
  measure(state, [&] {
    const auto number = timers.times.one_of(count);
    timers.lifetimes.forget(SaTimers::name(number), timers.lifetime, timers.began[number]);
    timers.watch(number, timers.times.after(0s));
  });
}

// The first end that is due; one that expires begins anew.
void lifetime_due(benchmark::State& state) {
  SaTimers timers(state);
  const Moment late{std::chrono::hours(24 * 365 * 100), {}};
  measure(state, [&] {
    const auto due = timers.lifetimes.take_due(late);
    if (due->stage == sa::LifetimeStage::hard) timers.watch(due->sa.index, timers.times.after(due->at));
  });
}

void sizes(benchmark::internal::Benchmark* made) {
  made->ArgName("sas")->Arg(1'000)->Arg(20'000)->Arg(100'000)->Arg(1'000'000)->Iterations(300'000);
}

}  // namespace

BENCHMARK(ike_deadline_moves)->Apply(sizes);
BENCHMARK(ike_deadline_due)->Apply(sizes);
BENCHMARK(lifetime_replaced)->Apply(sizes);
BENCHMARK(lifetime_due)->Apply(sizes);
BENCHMARK_MAIN();
