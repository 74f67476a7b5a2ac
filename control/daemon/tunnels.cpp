#include "control/daemon/tunnels.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace espgate::daemon {
namespace {

bool same(const config::Tunnel& a, const config::Tunnel& b) {
  return a.kind == b.kind && a.gre == b.gre && a.peers == b.peers && a.mtu == b.mtu &&
         a.addresses == b.addresses;
}

bool is_multipoint(const config::Tunnel& tunnel) {
  return tunnel.kind == config::TunnelKind::gre_multipoint;
}

tunnel::Traits traits_of(const config::Tunnel& tunnel) {
  return {tunnel.kind != config::TunnelKind::vti, tunnel.gre, is_multipoint(tunnel), tunnel::no_tunnel};
}

tunnel::Traits traits_of_peer(const config::Tunnel& tunnel, tunnel::Index index) {
  return {true, tunnel.gre, false, index};
}

bool has_both(const sa::SaManager& sas, const config::TunnelPeer& peer) {
  const auto present = sas.current_sas(peer.connection);
  return present.inbound && present.outbound;
}

std::string problem(const config::Configuration& configuration, const config::Tunnel& tunnel,
                    const Error& error) {
  const auto& file = configuration.files.empty() ? configuration.file : configuration.files.at(tunnel.file);
  return fmt::format("{}:{}: tunnel {}: {}", file, tunnel.line, tunnel.name, error.text());
}

}  // namespace

Tunnels::~Tunnels() {
  for (const auto& [name, entry] : entries_) {
    if (!entry->gone) parts_.loop.unwatch(entry->link.fd());
    parts_.host_path.remove_tunnel(entry->index);
    for (const auto& [connection, index] : entry->peers) parts_.host_path.remove_tunnel(index);
  }
}

Tunnels::Change Tunnels::configure(const config::Configuration& configuration) {
  Change result;
  std::unordered_map<std::string, const config::Tunnel*> wanted;
  for (const auto& tunnel : configuration.tunnels) wanted.emplace(tunnel.name, &tunnel);
  std::vector<std::unique_ptr<Entry>> leaving;
  std::vector<tunnel::Index> leaving_peers;
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    leaving.push_back(std::move(at->second));
    at = entries_.erase(at);
  }
  for (const auto& tunnel : configuration.tunnels) {
    const auto known = entries_.find(tunnel.name);
    Expected<void> done;
    if (known == entries_.end()) {
      done = add(tunnel);
      if (done) ++result.added;
    } else if (same(known->second->tunnel, tunnel)) {
      known->second->tunnel = tunnel;  // its place in the file
      ++result.kept;
    } else {
      done = change(*known->second, tunnel, leaving_peers);
      ++result.changed;
    }
    if (!done) result.problems.push_back(problem(configuration, tunnel, done.error()));
  }
  parts_.changed();
  for (const auto index : leaving_peers) remove(index);
  for (const auto& entry : leaving) {
    if (!entry->gone) parts_.loop.unwatch(entry->link.fd());
    remove(entry->index);
    for (const auto& [connection, index] : entry->peers) remove(index);
    ++result.removed;
  }
  return result;
}

void Tunnels::remove(tunnel::Index index) {
  parts_.host_path.remove_tunnel(index);
  parts_.table.remove(index);
}

Expected<void> Tunnels::add(const config::Tunnel& wanted) {
  auto link = host::Tap::create({wanted.name, {}, wanted.mtu, true});
  if (!link) return link.error();
  const auto index = parts_.table.add(traits_of(wanted));
  if (!index) return index.error();
  auto& entry =
      *entries_.emplace(wanted.name, std::make_unique<Entry>(Entry{wanted, std::move(*link), *index, {}}))
           .first->second;
  parts_.host_path.add_tunnel(*index, entry.link);
  parts_.loop.watch("packets into tunnels", entry.link.fd(), [this, &entry] { take_packets(entry); });
  std::vector<tunnel::Index> none;
  auto done = set_peers(entry, none);
  if (auto added = add_addresses(entry, wanted.addresses); !added) done = added;
  return done;
}

Expected<void> Tunnels::change(Entry& entry, const config::Tunnel& wanted,
                               std::vector<tunnel::Index>& leaving) {
  const auto before = std::exchange(entry.tunnel, wanted);
  parts_.table.change(entry.index, traits_of(wanted));
  auto done = set_peers(entry, leaving);
  if (before.mtu != wanted.mtu)
    if (auto set = entry.link.set_mtu(wanted.mtu); !set) done = set;
  for (const auto& address : before.addresses)
    if (std::ranges::find(wanted.addresses, address) == wanted.addresses.end())
      if (auto removed = parts_.kernel.remove_address(entry.link.ifindex(), address); !removed)
        done = removed;
  if (auto added = add_addresses(entry, wanted.addresses); !added) done = added;
  return done;
}

// Entries for the peers of a multipoint tunnel; a peer keeps its own as long as it has its connection. Those
// that routes may lead into until all is changed are added to `leaving`.
Expected<void> Tunnels::set_peers(Entry& entry, std::vector<tunnel::Index>& leaving) {
  auto before = std::exchange(entry.peers, {});
  Expected<void> done;
  if (is_multipoint(entry.tunnel)) {
    const auto traits = traits_of_peer(entry.tunnel, entry.index);
    for (const auto& peer : entry.tunnel.peers) {
      if (auto known = before.extract(peer.connection)) {
        parts_.table.change(known.mapped(), traits);
        entry.peers.insert(std::move(known));
        continue;
      }
      const auto index = parts_.table.add(traits);
      if (!index) {
        done = Error{fmt::format("peer {}: {}", peer.connection, index.error().what), index.error().remedy};
        continue;
      }
      entry.peers.emplace(peer.connection, *index);
      if (!entry.gone) parts_.host_path.add_tunnel(*index, entry.link);
    }
  }
  for (const auto& [connection, index] : before) {
    auto& drops = parts_.table.at(entry.index).drops;  // they stay the tunnel's
    drops.fetch_add(parts_.table.at(index).drops.load(std::memory_order_relaxed), std::memory_order_relaxed);
    leaving.push_back(index);
  }
  return done;
}

std::optional<tunnel::Index> Tunnels::index_of(const Entry& entry, const config::TunnelPeer& peer) {
  if (!is_multipoint(entry.tunnel)) return entry.index;
  const auto found = entry.peers.find(peer.connection);
  return found == entry.peers.end() ? std::nullopt : std::optional(found->second);
}

// What is there already is no error.
Expected<void> Tunnels::add_addresses(const Entry& entry,
                                      const std::vector<net::InterfaceAddress>& addresses) {
  for (const auto& address : addresses)
    if (auto added = parts_.kernel.add_address(entry.link.ifindex(), address); !added) return added;
  return {};
}

void Tunnels::take_packets(Entry& entry) {
  const auto taken = parts_.host_path.take_from_tunnel(entry.index);
  if (taken) return;
  // Readable for ever, it would keep the loop from sleeping.
  parts_.loop.unwatch(entry.link.fd());
  parts_.host_path.remove_tunnel(entry.index);
  for (const auto& [connection, index] : entry.peers) parts_.host_path.remove_tunnel(index);
  entry.gone = true;
  spdlog::error(
      "tunnel {}: {}; until then it has no routes, and what the peer sends to this host is dropped as "
      "HOST_TAP_FULL",
      entry.tunnel.name, taken.error().text());
}

void Tunnels::follow(const sa::SaManager& sas) {
  for (const auto& [name, entry] : entries_) {
    const auto reason = why_down(*entry, sas);
    if (entry->gone || entry->carrier == reason.empty()) continue;
    entry->carrier = reason.empty();
    if (const auto set = entry->link.set_carrier(entry->carrier); !set)
      spdlog::warn("{}", set.error().text());
    if (entry->carrier)
      spdlog::info("tunnel {} is up", name);
    else
      spdlog::warn("tunnel {} is down: {}", name, reason);
  }
}

std::string Tunnels::why_down(const Entry& entry, const sa::SaManager& sas) const {
  if (entry.gone) return "its link was removed from the kernel; restart espgated";
  const auto& peers = entry.tunnel.peers;
  if (std::ranges::any_of(peers, [&](const auto& peer) { return has_both(sas, peer); })) return "";
  if (peers.size() > 1)
    return fmt::format("none of its {} peers has active SAs in both directions", peers.size());
  const auto& connection = peers.front().connection;
  const auto present = sas.current_sas(connection);
  return fmt::format("connection {} has no active {} SA", connection,
                     present.inbound    ? "outbound"
                     : present.outbound ? "inbound"
                                        : "inbound or outbound");
}

std::vector<host::TunnelLink> Tunnels::links() const {
  std::vector<host::TunnelLink> result;
  for (const auto& [name, entry] : entries_) {
    result.push_back({entry->index, entry->link.ifindex(), name, entry->tunnel.mtu, {}});
    for (const auto& peer : entry->tunnel.peers)
      if (const auto index = index_of(*entry, peer))
        for (const auto& next_hop : peer.next_hops) result.back().next_hops.emplace(next_hop, *index);
  }
  return result;
}

std::unordered_map<std::string, tunnel::Index> Tunnels::by_connection() const {
  std::unordered_map<std::string, tunnel::Index> result;
  for (const auto& [name, entry] : entries_)
    for (const auto& peer : entry->tunnel.peers)
      if (const auto index = index_of(*entry, peer)) result.emplace(peer.connection, *index);
  return result;
}

std::vector<Tunnels::Report> Tunnels::report(const sa::SaManager& sas, const host::KernelView& view) const {
  const auto drops_of = [&](tunnel::Index index) {
    return parts_.table.at(index).drops.load(std::memory_order_relaxed);
  };
  std::vector<Report> result;
  for (const auto& [name, entry] : entries_) {
    auto reason = why_down(*entry, sas);
    const auto* link = view.link(entry->link.ifindex());
    if (reason.empty() && link != nullptr && !link->up)
      reason = fmt::format("its link is down; `ip link set {} up`", name);
    const std::string_view state = entry->gone ? "gone" : reason.empty() ? "up" : "down";
    auto& report =
        result.emplace_back(Report{entry->tunnel, state, std::move(reason), drops_of(entry->index), {}});
    for (const auto& peer : entry->tunnel.peers) {
      const auto index = index_of(*entry, peer);
      report.peers.push_back({peer, has_both(sas, peer), index ? drops_of(*index) : 0});
      if (index && *index != entry->index) report.drops += report.peers.back().drops;
    }
  }
  return result;
}

std::string Tunnels::name_of(tunnel::Index index) const {
  for (const auto& [name, entry] : entries_) {
    if (entry->index == index) return name;
    for (const auto& [connection, peer] : entry->peers)
      if (peer == index) return name;
  }
  return {};
}

std::string Tunnels::interface_of(const std::string& connection) const {
  for (const auto& [name, entry] : entries_)
    if (std::ranges::find(entry->tunnel.peers, connection, &config::TunnelPeer::connection) !=
        entry->tunnel.peers.end())
      return name;
  return {};
}

}  // namespace espgate::daemon
