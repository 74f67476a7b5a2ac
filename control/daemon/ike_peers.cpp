// IkeService: the peers of connections that have them at any address. Each has a connection of its own in the
// SA manager from its first SA to its last: with the settings of the configuration's, and for what was agreed
// on.
#include <fmt/format.h>

#include <algorithm>

#include "control/daemon/ike_service.hpp"

namespace espgate::daemon {
namespace {

config::Connection settings_of_peer(const config::Connection& of, std::string name,
                                    const ike::ChildSaParameters& child) {
  auto settings = of;
  settings.name = std::move(name);
  settings.remote = child.remote.address;
  settings.any_peer = false;
  settings.local_networks.clear();
  settings.remote_networks.clear();
  settings.selectors = child.selectors;
  return settings;
}

}  // namespace

const std::string* IkeService::connection_of(const std::string& child,
                                             const std::optional<ike::Identity>& peer) const {
  if (!peer) {
    const auto known = connections_.find(child);
    return known == connections_.end() ? nullptr : &known->first;
  }
  const auto name = peer_names_.find(ike::key_with(child, *peer));
  return name == peer_names_.end() ? nullptr : &name->second;
}

// The connection that takes this inbound SA. That of a peer is made when its first SA comes, and from then on
// the SPI is its own.
Expected<std::string> IkeService::come(const ike::ChildSaParameters& child, Moment now) {
  if (!child.peer) return child.child;
  auto& known = connections_.at(child.child);
  auto& name = peer_names_[ike::key_with(child.child, *child.peer)];
  if (name.empty()) {
    name = fmt::format("{}#{}", child.child, ++known.peers_so_far);
    if (auto added = parts_.sas.add_peer(child.child, settings_of_peer(known.settings, name, child), now);
        !added) {
      peer_names_.erase(ike::key_with(child.child, *child.peer));
      return added.error();
    }
    peers_.emplace(name, Peer{name, child.child, *child.peer, child.local.address, child.remote.address});
  }
  if (auto given = parts_.sas.hand_over(child.spi, name); !given) return given.error();
  return name;
}

void IkeService::go_if_empty(const std::string& name, Moment now) {
  const auto gone = peers_.find(name);
  if (gone == peers_.end() || gone->second.inbound_sas != 0 || in_use_.contains(name)) return;
  parts_.sas.remove_peer(name, now);
  peer_names_.erase(ike::key_with(gone->second.connection, gone->second.identity));
  peers_.erase(gone);
}

const IkeService::Peer* IkeService::peer(const std::string& name) const {
  const auto found = peers_.find(name);
  return found == peers_.end() ? nullptr : &found->second;
}

const std::string& IkeService::configured_name(const std::string& name) const {
  const auto* of_many = peer(name);
  return of_many == nullptr ? name : of_many->connection;
}

const std::string& IkeService::name_with(const std::string& connection, const ike::IkeSa& sa) const {
  if (sa.connection()->remote || !sa.peer_identity()) return connection;
  const auto found = peer_names_.find(ike::key_with(connection, *sa.peer_identity()));
  return found == peer_names_.end() ? connection : found->second;
}

std::vector<const IkeService::Peer*> IkeService::peers_of(const std::string& connection) const {
  std::vector<const Peer*> found;
  const auto prefix = connection + '#';
  for (auto at = peers_.lower_bound(prefix); at != peers_.end() && at->first.starts_with(prefix); ++at)
    if (at->second.connection == connection) found.push_back(&at->second);
  return found;
}

const IkeService::Peer* IkeService::next_peer_after(const std::string& name) const {
  const auto found = peers_.upper_bound(name);
  return found == peers_.end() ? nullptr : &found->second;
}

}  // namespace espgate::daemon
