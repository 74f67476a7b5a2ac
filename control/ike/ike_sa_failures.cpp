// IkeSa: why a child of it does not come up.
#include "control/ike/child_match.hpp"
#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

void IkeSa::note_child_failure(const std::string& child, ChildFailure failure) {
  host_.act(AttemptFailed{connection_->name, child, *failure.why, remote_, peer_of_many()});
  child_failures_[child] = std::move(failure);
}

std::string IkeSa::child_failure(const std::string& child) const {
  const auto found = child_failures_.find(child);
  return found == child_failures_.end() ? std::string() : *found->second.why;
}

bool IkeSa::lacks_room_for(const std::string& child) const {
  const auto found = child_failures_.find(child);
  return found != child_failures_.end() && found->second.lacks_room;
}

// Which child it would have been is known if it was to replace one, if there is only one, or if its networks
// are asked for; those that we want as well may have the same trouble. If it is none of these it is told of
// under no name: others may have other reasons not to be there.
void IkeSa::refuse_child(NotifyType error, const std::string& why, const Payloads& request,
                         const Child* replaced) {
  log(Level::warning, why);
  if (error == NotifyType::no_additional_sas) return;  // that is no other child's trouble
  const auto is_concerned = [&](const ChildConfiguration& child) {
    if (replaced != nullptr) return replaced->configuration->name == child.name;
    return !has_child_of(child) &&
           (connection_->children.size() == 1 || is_making(child.name) || asks_for(request, child));
  };
  const auto shared = std::make_shared<const std::string>(why);
  bool is_known = false;
  for (const auto& child : connection_->children) {
    if (!is_concerned(child)) continue;
    note_child_failure(child.name, {shared});
    is_known = true;
  }
  if (!is_known) note_child_failure(std::string(), {shared});
}

}  // namespace espgate::ike
