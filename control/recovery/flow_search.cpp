#include "control/recovery/flow_search.hpp"

#include <iterator>

namespace espgate::recovery {

bool FlowSearch::Before::operator()(const Flow& one, const Flow& other) const {
  if (order == Order::packets && one.packets != other.packets) return one.packets > other.packets;
  const bool made_up = one.kind == Class::flood;
  if (order == Order::last_seen && made_up != (other.kind == Class::flood)) return !made_up;
  return one.last.steady > other.last.steady;
}

bool FlowSearch::look() {
  return table_.visit_some(place_, at_once, [this](const Flow& flow) {
    if (!wanted_(flow)) return;
    ++found_;
    const bool is_full = best_.size() >= most_;
    if (most_ == 0 || (is_full && !best_.key_comp()(flow, *best_.rbegin()))) return;
    best_.insert(flow);
    if (is_full) best_.erase(std::prev(best_.end()));
  });
}

std::optional<Flow> FlowSearch::take() {
  if (best_.empty()) return std::nullopt;
  return best_.extract(best_.begin()).value();
}

}  // namespace espgate::recovery
