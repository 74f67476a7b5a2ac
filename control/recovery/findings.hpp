// Evidence put together by cause. Internal to the diagnosis.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/recovery/diagnosis.hpp"
#include "control/recovery/signs.hpp"

namespace espgate::recovery {

class Findings {
 public:
  // `has_passed`: what can pass has, and counts less.
  explicit Findings(bool has_passed) : has_passed_(has_passed) {}

  // `amount`: of what the sign counts. Of several remedies that of the heaviest piece counts.
  void add(const Sign& sign, std::string evidence, double amount = 0);
  // Of all so far; 0: none.
  unsigned heaviest() const;
  // The heaviest first, of equal ones in the order of causes.
  std::vector<Finding> take() const;

 private:
  struct Piece {
    double weight;
    std::string evidence;
    std::string_view remedy;
  };
  bool has_passed_;
  std::array<std::vector<Piece>, cause_count> pieces_;
};

}  // namespace espgate::recovery
