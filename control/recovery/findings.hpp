// Evidence put together by cause. Internal to the diagnosis.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/recovery/diagnosis.hpp"

namespace espgate::recovery {

class Findings {
 public:
  // `weight` above 100 is 100, and 0 adds nothing. An empty remedy is what is usual for the cause; of several
  // pieces that of the heaviest counts.
  void add(Cause cause, double weight, std::string evidence, std::string remedy = {});
  // Of all so far; 0: none.
  unsigned heaviest() const;
  // The heaviest first, of equal ones in the order of causes.
  std::vector<Finding> take() const;

 private:
  struct Piece {
    double weight;
    std::string evidence;
    std::string remedy;
  };
  std::array<std::vector<Piece>, cause_count> pieces_;
};

}  // namespace espgate::recovery
