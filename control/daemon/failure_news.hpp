// Which failures to come up are news: what was told last, of the same connection or peer, is none.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>

#include "datapath/base/token_bucket.hpp"

namespace espgate::daemon {

// One thread. Bounded: of more names than `most` the one that was told of first is forgotten, and what comes
// too fast, as reasons that a peer makes up do, is not told until it comes again later.
class FailureNews {
 public:
  static constexpr std::uint32_t at_once = 512, a_second = 1;
  // Of one name: then one each `seldom`, so that a peer that makes reasons up leaves room to others.
  static constexpr unsigned at_once_of_one = 4;
  static constexpr std::chrono::minutes seldom{1};

  explicit FailureNews(std::size_t most) : most_(most) { told_.reserve(most + 1); }

  // Whether to tell it; then it is no news again until another reason is told of `who`, or it is forgotten.
  bool take(const std::string& who, const std::string& reason, TokenBucket::Time now);
  void forget(const std::string& who);
  // It was told otherwise.
  void note(const std::string& who, const std::string& reason, TokenBucket::Time now);

 private:
  struct Told {
    std::string reason;
    unsigned left;  // at once
    TokenBucket::Time when;
    std::list<std::string>::iterator place;
  };
  std::size_t most_;
  TokenBucket budget_{a_second, at_once};
  std::unordered_map<std::string, Told> told_;
  std::list<std::string> order_;  // the oldest in front
};

}  // namespace espgate::daemon
