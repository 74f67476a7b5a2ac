#include "control/daemon/movable_connections.hpp"

namespace espgate::daemon {

void MovableConnections::add(Connection connection) {
  const auto index = entries_.size();
  for (const auto& address : connection.ours) by_own_.emplace(address, index);
  by_peer_.emplace(Key{connection.peer.family, connection.peer}, index);
  entries_.push_back({std::move(connection)});
  mark(index);
}

void MovableConnections::mark(std::size_t index) {
  if (std::exchange(entries_[index].has_to_look, true)) return;
  waiting_.push_back(index);
}

void MovableConnections::note(const host::Event& event) {
  const auto note_own = [&](const net::Address& address) {
    const auto [first, last] = by_own_.equal_range(address);
    for (auto own = first; own != last; ++own) mark(own->second);
  };
  if (const auto* added = std::get_if<host::AddressAdded>(&event)) return note_own(added->address.address);
  if (const auto* gone = std::get_if<host::AddressRemoved>(&event)) return note_own(gone->address.address);
  if (const auto* routes = std::get_if<host::RoutesChanged>(&event)) {
    const auto& to = routes->destination;
    for (auto peer = by_peer_.lower_bound({to.address.family, to.address});
         peer != by_peer_.end() && to.contains(peer->first.second); ++peer)
      mark(peer->second);
  }
  // Any way may lead by it.
  if (std::holds_alternative<host::LinkChanged>(event))
    for (std::size_t index = 0; index < entries_.size(); ++index) mark(index);
}

const MovableConnections::Connection* MovableConnections::next() {
  if (waiting_.empty()) return nullptr;
  auto& entry = entries_[waiting_.front()];
  waiting_.pop_front();
  entry.has_to_look = false;
  return &entry.connection;
}

}  // namespace espgate::daemon
