// Which of a connection's own addresses its IKE SAs are begun from, and when they move to another.
#include <algorithm>

#include "control/ike/core.hpp"

namespace espgate::ike {
namespace {

bool has(const std::vector<net::Address>& list, const net::Address& address) {
  return std::ranges::find(list, address) != list.end();
}

}  // namespace

// The preferred one that is there; each beginning in vain is followed by the next, since it may be the
// path's.
const net::Address& IkeCore::start_of(const Record& record) {
  const auto& usable = record.usable;
  return usable.empty() ? *record.connection->local : usable[record.in_vain % usable.size()];
}

// RFC 7296 2.23: also the first message may go to where the peer's NAT has UDP encapsulation.
IkeSa& IkeCore::begin_anew(const ConnectionHandle& connection, const net::Address& from,
                           std::vector<ChildHandle> children, Time now, const std::optional<Endpoint>& natt) {
  const bool by_natt = natt && natt->address == *connection->remote;
  const Endpoint local{from, by_natt ? net::natt_port : net::ike_port};
  const Endpoint remote = by_natt ? *natt : Endpoint{*connection->remote, connection->remote_port};
  auto& sa = create({new_sa_id(), true, {new_ike_spi(), 0}, local, remote, connection}, now);
  sa.greet(std::move(children), now);
  return sa;
}

// Who is nowhere stays: it may come back. To the preferred address those that we began go back when it does,
// and not before, since it may have been left because nothing came through. The youngest are first, so that
// one that begins in place of another is not in its way.
void IkeCore::on(const LocalAddresses& event, Time now) {
  const auto found = records_.find(event.connection);
  if (found == records_.end()) return;
  auto& record = found->second;
  const auto before = std::exchange(record.usable, event.usable);
  const auto ids = by_connection_.find(event.connection);
  if (before != record.usable) {
    record.in_vain = 0;
    if (record.retry_at != never && !record.usable.empty()) try_again(record, now);
  }
  if (record.usable.empty() || ids == by_connection_.end()) return;
  const auto& preferred = record.usable.front();
  const bool came_back = !has(before, preferred);
  const std::vector<SaId> youngest_first(ids->second.rbegin(), ids->second.rend());
  for (const auto id : youngest_first) {
    auto* sa = find(id);
    if (!sa->lineage().we_began) continue;
    const bool is_lost = !has(record.usable, sa->local().address);
    const auto state = sa->state();
    if (is_lost || (came_back && state == IkeSa::State::established))
      sa->we_are_at(preferred, now);
    else if (came_back && (state == IkeSa::State::greeting || state == IkeSa::State::proving))
      record.goes_back = id;
  }
}

// What began elsewhere, and was not up yet when the preferred address came.
void IkeCore::go_back(IkeSa& sa, Time now) {
  if (sa.connection()->other_locals.empty() || sa.state() != IkeSa::State::established) return;
  if (sa.children().empty() && !sa.is_complete()) return;
  const auto found = records_.find(sa.connection()->name);
  if (found == records_.end() || found->second.goes_back != sa.id()) return;
  found->second.goes_back = 0;
  if (!found->second.usable.empty()) sa.we_are_at(found->second.usable.front(), now);
}

std::vector<net::Address> IkeCore::usable_locals(const IkeSa& sa) const {
  const auto found = records_.find(sa.connection()->name);
  return found == records_.end() ? std::vector<net::Address>() : found->second.usable;
}

}  // namespace espgate::ike
