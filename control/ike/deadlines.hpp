// When each of many SAs wants to be called next. One deadline an SA; logarithmic in their number. One owner.
#pragma once

#include <set>
#include <unordered_map>

#include "control/ike/events.hpp"

namespace espgate::ike {

class Deadlines {
 public:
  void reserve(std::size_t sas) { times_.reserve(sas); }
  // `never` forgets it.
  void set(SaId sa, Time at) {
    const auto known = times_.find(sa);
    if (known != times_.end()) {
      if (known->second == at) return;
      order_.erase({known->second, sa});
      times_.erase(known);
    }
    if (at == never) return;
    times_.emplace(sa, at);
    order_.emplace(at, sa);
  }
  Time next() const { return order_.empty() ? never : order_.begin()->first; }
  // Of those that are due the earliest; 0: none is.
  SaId due(Time now) const { return next() <= now && next() != never ? order_.begin()->second : 0; }

 private:
  std::set<std::pair<Time, SaId>> order_;
  std::unordered_map<SaId, Time> times_;
};

}  // namespace espgate::ike
