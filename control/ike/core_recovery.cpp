// Packets that come with an SPI of nobody's: what the core does about them (RFC 7296 1.5).
#include "control/ike/core.hpp"

namespace espgate::ike {

IkeCore::Reach IkeCore::reach(const std::string& connection, const std::optional<Identity>& peer) const {
  const auto found = records_.find(connection);
  if (found == records_.end()) return Reach::impossible;
  bool is_beginning = false;
  if (const auto ids = by_connection_.find(connection); ids != by_connection_.end())
    for (const auto id : ids->second) {
      const auto& sa = *ike_sa(id);
      if (peer && !(sa.peer_identity() && same_identity(*sa.peer_identity(), *peer))) continue;
      if (sa.state() == IkeSa::State::established && !sa.is_closing()) return Reach::established;
      is_beginning |= sa.state() == IkeSa::State::greeting || sa.state() == IkeSa::State::proving;
    }
  if (is_beginning) return Reach::beginning;
  const auto& ours = *found->second.connection;
  return ours.local && ours.remote ? Reach::possible : Reach::impossible;
}

void IkeCore::on(const InvalidSpi& event, Time now) {
  constexpr std::size_t most = 16;  // while it is not up; the peer forgets all of them with INITIAL_CONTACT
  // The peer makes it anew itself if it knows how to, and then there should not be two.
  constexpr Time patience = std::chrono::milliseconds(20);
  const auto found = records_.find(event.connection);
  if (found == records_.end()) return;
  const auto owner = children_.find(event.spi);
  const bool is_being_deleted = owner != children_.end();  // so the peer is told of that already
  if (is_being_deleted && sas_.at(owner->second).sa->uses(event.spi)) return;
  auto& record = found->second;
  const auto& connection = record.connection;
  for (auto* sa : living(event.connection, event.peer)) {
    if (sa->state() != IkeSa::State::established) continue;
    if (!is_being_deleted) sa->report_invalid_spi(event.spi);
    for (const auto& child : connection->children)
      if (event.child.empty() || child.name == event.child)
        sa->want_child(ChildHandle(connection, &child), now + patience);
    return;
  }
  if (!event.may_begin || event.peer) return;
  if (record.invalid_spis.size() < most) record.invalid_spis.insert(event.spi);
  on(Initiate{event.connection, event.child}, now);
}

}  // namespace espgate::ike
