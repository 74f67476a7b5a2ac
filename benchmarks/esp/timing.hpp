// Runs and their median. A run during which the scheduler took the CPU away is not counted but repeated.
#pragma once

#include <cstdint>

namespace espgate::bench {

struct Distribution {
  double median = 0;
  double min = 0;
  double max = 0;
  unsigned interrupted = 0;     // runs repeated
  bool all_undisturbed = true;  // false: there were not enough others, so interrupted ones are in
};

// How often the calling thread has lost the CPU so far.
std::uint64_t context_switches();

class Runs {
 public:
  explicit Runs(unsigned wanted) : wanted_(wanted) {}
  // `run()` does one run and returns cycles a packet; the first one only warms up. `counted()` is called
  // after each run that nothing interrupted.
  template <typename Run, typename Counted>
  Distribution measure(Run run, Counted counted) {
    begin();
    run();
    while (!enough()) {
      const auto before = context_switches();
      const double cycles = run();
      const bool interrupted = context_switches() != before;
      add(cycles, interrupted);
      if (!interrupted) counted();
    }
    return result();
  }
  template <typename Run>
  Distribution measure(Run run) {
    return measure(run, [] {});
  }

 private:
  static constexpr unsigned most_attempts = 12;  // a run wanted

  void begin() { *this = Runs(wanted_); }
  bool enough() const { return good_count_ == wanted_ || attempts_ == wanted_ * most_attempts; }
  void add(double cycles, bool interrupted);
  Distribution result() const;

  static constexpr unsigned most_runs = 64;
  unsigned wanted_;
  unsigned attempts_ = 0;
  unsigned good_count_ = 0;
  unsigned bad_count_ = 0;
  double good_[most_runs] = {};
  double bad_[most_runs] = {};  // the first ones
};

}  // namespace espgate::bench
