// What a reload of the configuration means for an IKE SA that goes on.
#include <algorithm>

#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

// Children that are not `kept` go, and what is configured under their names now is made, if it is to be up:
// by who began, or by us if the peer has not by then.
void IkeSa::reconfigure(const ConnectionHandle& connection, const std::set<std::string>& kept, Time now) {
  constexpr Time patience = std::chrono::seconds(10);
  connection_ = connection;
  const auto stays = [&](const ChildHandle& child) { return kept.contains(child->name); };
  std::erase_if(wanted_, [&](const WantedChild& wanted) { return !stays(wanted.configuration); });
  child_failures_.forget_all_but(kept);
  for (auto& wanted : wanted_) wanted.configuration = child_named(wanted.configuration->name);
  if (exchange_.child && stays(exchange_.child))
    exchange_.child = child_named(exchange_.child->name);
  else if (exchange_.child)
    exchange_.unwanted = true;
  for (auto& child : children_)
    if (stays(child.configuration)) {
      child.configuration = child_named(child.configuration->name);
    } else {
      child.delete_wanted = true;
      child.make_again = false;
    }
  const bool goes_on = state_ == State::greeting || state_ == State::proving || state_ == State::established;
  if (connection->start != StartAction::always || !goes_on) return;
  for (const auto& child : connection->children)
    if (!kept.contains(child.name))
      wanted_.push_back({ChildHandle(connection, &child), lineage_.we_began ? now : now + patience});
}

}  // namespace espgate::ike
