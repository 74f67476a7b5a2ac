#include "control/recovery/flow_search.hpp"

namespace espgate::recovery {

bool FlowSearch::Before::operator()(const Flow& one, const Flow& other) const {
  if (order == Order::packets && one.packets != other.packets) return one.packets > other.packets;
  const bool made_up = one.kind == Class::flood;
  if (order == Order::last_seen && made_up != (other.kind == Class::flood)) return !made_up;
  return one.last.steady > other.last.steady;
}

bool FlowSearch::look() {
  return table_.visit_some(place_, at_once, [this](const Flow& flow) {
    if (wanted_(flow)) best_.offer(flow);
  });
}

}  // namespace espgate::recovery
