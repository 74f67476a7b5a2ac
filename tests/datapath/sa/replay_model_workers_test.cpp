// Two workers on one window against the model, in random steps. Both work through a round of numbers at once;
// then the model is told what happened. Where the answer depends on who came first, either is allowed, but no
// number is fresh twice, one that is new and stays inside the window is fresh once, and the state in the end
// is the model's.
//
// ESPGATE_REPLAY_STEPS=100000000 is the long run, ESPGATE_SEED repeats one.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/datapath/sa/from_environment.hpp"
#include "tests/datapath/sa/replay_model.hpp"

using namespace espgate;
using namespace espgate::test;
using sa::Replay;

namespace {

struct Attempt {
  std::uint64_t sequence;
  Replay checked, committed;
};

// The numbers one worker commits, in this order: one by one, or block by block as bursts are.
void work(sa::ReplayWindow window, std::vector<Attempt>& steps, bool by_block) {
  for (auto& step : steps) step.checked = window.check(step.sequence);
  for (std::size_t first = 0; first < steps.size();) {
    const auto block = steps[first].sequence / 32;
    std::uint32_t bits = 0;
    std::size_t next = first;
    for (; next < steps.size() && steps[next].sequence / 32 == block; ++next) {
      const std::uint32_t bit = std::uint32_t{1} << (steps[next].sequence % 32);
      if ((bits & bit) != 0 || (!by_block && bits != 0)) break;
      bits |= bit;
    }
    const auto committed = window.commit_block(block, bits);
    for (; first < next; ++first) steps[first].committed = committed.of(steps[first].sequence);
  }
}

// The second worker's thread. Rounds are a few microseconds, so both sides spin before they yield.
class Second {
 public:
  template <typename Work>
  explicit Second(Work round)
      : thread_([this, round] {
          for (std::uint64_t done = 0;;) {
            wait([&] { return wanted_.load(std::memory_order_acquire) != done; });
            if (stop_) return;
            round();
            done_.store(++done, std::memory_order_release);
          }
        }) {}
  ~Second() {
    stop_ = true;
    start();
    thread_.join();
  }
  Second(const Second&) = delete;
  Second& operator=(const Second&) = delete;

  void start() { wanted_.fetch_add(1, std::memory_order_release); }
  void finish() {
    wait([&] { return done_.load(std::memory_order_acquire) == wanted_.load(); });
  }

 private:
  template <typename Condition>
  static void wait(Condition condition) {
    for (int spins = 0; !condition(); ++spins)
      if (spins > 2'000) std::this_thread::yield();
  }

  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<std::uint64_t> wanted_{0};
  alignas(64) std::atomic<std::uint64_t> done_{0};
  std::thread thread_;
};

class Match {
 public:
  Match(std::uint32_t window_packets, std::uint64_t first_top, std::uint32_t with_seed)
      : model_{window_packets, first_top},
        owned_(window_packets, first_top),
        random_(with_seed),
        second_([this] { work(owned_.view(), steps_[1], by_block_); }) {}

  // Empty, or what went wrong.
  std::string round() {
    by_block_ = random_() % 2 == 0;
    for (auto& steps : steps_) {
      steps.clear();
      for (auto count = 1 + random_() % 64; count > 0; --count) steps.push_back({next(), {}, {}});
    }
    if (random_() % 2 == 0) std::ranges::copy(steps_[0], std::back_inserter(steps_[1]));
    second_.start();
    work(owned_.view(), steps_[0], by_block_);
    second_.finish();
    steps_done_ += steps_[0].size() + steps_[1].size();
    auto fault = judge();
    if (fault.empty() && ++rounds_ % (4 * model_.window) == 0) fault = compare_windows();
    return fault;
  }
  std::uint64_t steps_done() const { return steps_done_; }

 private:
  // In order mostly, as a sender makes them, and now and then anywhere that matters.
  std::uint64_t next() {
    const auto window = model_.window;
    const auto top = std::max(ahead_, model_.top);
    switch (random_() % 12) {
      case 0:
        return top - std::min(top, random_() % (2 * window));
      case 1:
        return top - std::min(top, window - 1 + random_() % 3);
      case 2:
        return top - std::min(top, random_() % 64);
      case 3:
        return ahead_ = top + 1 + (random_() % 64 == 0 ? random_() % (4 * window) : random_() % 4);
      default:
        return ahead_ = top + 1;
    }
  }

  std::string judge() {
    std::map<std::uint64_t, std::vector<const Attempt*>> by_number;
    for (const auto& steps : steps_)
      for (const auto& step : steps) by_number[step.sequence].push_back(&step);
    const auto highest = std::max(model_.top, by_number.rbegin()->first);
    const auto before = model_;
    for (const auto& [sequence, steps] : by_number) {
      const auto answers = [&all = steps](Replay answer) {
        return std::ranges::count_if(all, [&](const Attempt* step) { return step->committed == answer; });
      };
      const auto count = static_cast<std::ptrdiff_t>(steps.size());
      const auto fresh = answers(Replay::fresh);
      const auto expected = before.check(sequence);
      const bool stays = highest < model_.window || sequence > highest - model_.window;
      const bool right = expected == Replay::out_of_window ? answers(Replay::out_of_window) == count
                         : expected == Replay::duplicate
                             ? fresh == 0 && (!stays || answers(Replay::duplicate) == count)
                             : (stays ? fresh == 1 && answers(Replay::duplicate) == count - 1 : fresh <= 1);
      // Whoever was told fresh at the first look may yet come late; who was told otherwise had a reason.
      const bool checks_right = expected == Replay::fresh
                                    ? count > 1 || !stays || steps[0]->checked == Replay::fresh
                                    : std::ranges::none_of(steps, [](const Attempt* step) {
                                        return step->checked == Replay::fresh;
                                      });
      if (!right || !checks_right) return describe(sequence, highest, steps);
      if (fresh == 1 && stays) model_.commit(sequence);
    }
    return owned_.top == model_.top ? "" : "another top";
  }

  std::string compare_windows() {
    const auto window = owned_.view();
    for (std::uint64_t back = 0; back <= model_.window && back <= model_.top; ++back)
      if (window.check(model_.top - back) != model_.check(model_.top - back)) return "another window";
    return "";
  }

  std::string describe(std::uint64_t sequence, std::uint64_t highest,
                       const std::vector<const Attempt*>& steps) {
    std::ostringstream text;
    text << "number " << sequence << ", top " << model_.top << " becoming " << highest << ", answers";
    for (const auto* step : steps)
      text << ' ' << static_cast<int>(step->checked) << '/' << static_cast<int>(step->committed);
    return text.str();
  }

  ReplayModel model_;
  OwnedReplayWindow owned_;
  std::mt19937_64 random_;
  std::vector<Attempt> steps_[2];
  bool by_block_ = false;
  std::uint64_t ahead_ = 0;
  std::uint64_t steps_done_ = 0;
  std::uint64_t rounds_ = 0;
  Second second_;
};

}  // namespace

TEST_CASE("two workers on one window do together what the model does") {
  CAPTURE(seed());
  constexpr std::uint32_t windows[] = {64, 1'000, 1'024, 65'536};
  constexpr std::uint64_t tops[] = {0, (std::uint64_t{1} << 32) - 5'000};
  const auto wanted =
      from_environment("ESPGATE_REPLAY_STEPS", 2'000'000) / std::size(windows) / std::size(tops);
  for (const auto window_packets : windows)
    for (const auto first_top : tops) {
      Match match(window_packets, first_top, seed());
      while (match.steps_done() < wanted) {
        const auto fault = match.round();
        if (!fault.empty())
          FAIL("window " << window_packets << ", step " << match.steps_done() << ": " << fault);
      }
    }
}
