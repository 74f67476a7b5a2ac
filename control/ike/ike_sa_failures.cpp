// IkeSa: why a child of it does not come up.
#include "control/ike/child_match.hpp"
#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

void IkeSa::note_child_failure(const std::string& child, ChildFailures::Reason why, Failing kind) {
  host_.act(AttemptFailed{connection_->name, child, *why.text, remote_, peer_of_many()});
  child_failures_.note(child, std::move(why), kind);
}

// Which child it would have been is known if it was to replace one, if there is only one, or if its networks
// are asked for; those that we want as well may have the same trouble. If it is none of these it is told of
// under no name: others may have other reasons not to be there.
void IkeSa::refuse_child(NotifyType error, const std::string& why, const Payloads& request,
                         const Child* replaced, Time now) {
  complain(Complaint::child_refused, why, now);
  if (error == NotifyType::no_additional_sas) return;  // that is no other child's trouble
  const auto is_concerned = [&](const ChildConfiguration& child) {
    if (replaced != nullptr) return replaced->configuration->name == child.name;
    return !has_child_of(child) &&
           (connection_->children.size() == 1 || is_making(child.name) || asks_for(request, child));
  };
  const ChildFailures::Reason shared(why);
  bool is_known = false;
  for (const auto& child : connection_->children) {
    if (!is_concerned(child)) continue;
    note_child_failure(child.name, shared, Failing::mismatch);
    is_known = true;
  }
  if (!is_known) note_child_failure({}, shared, Failing::mismatch);
}

}  // namespace espgate::ike
