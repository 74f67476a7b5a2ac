#include "control/daemon/tunnels.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace espgate::daemon {
namespace {

bool same(const config::Tunnel& a, const config::Tunnel& b) {
  return a.kind == b.kind && a.gre == b.gre && a.connection == b.connection && a.mtu == b.mtu &&
         a.addresses == b.addresses;
}

tunnel::Traits traits_of(const config::Tunnel& tunnel) {
  return {tunnel.kind == config::TunnelKind::gre, tunnel.gre};
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
  }
}

Tunnels::Change Tunnels::configure(const config::Configuration& configuration) {
  Change result;
  std::unordered_map<std::string, const config::Tunnel*> wanted;
  for (const auto& tunnel : configuration.tunnels) wanted.emplace(tunnel.name, &tunnel);
  std::vector<std::unique_ptr<Entry>> leaving;
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
      done = change(*known->second, tunnel);
      ++result.changed;
    }
    if (!done) result.problems.push_back(problem(configuration, tunnel, done.error()));
  }
  parts_.changed();
  for (const auto& entry : leaving) {
    if (!entry->gone) parts_.loop.unwatch(entry->link.fd());
    parts_.host_path.remove_tunnel(entry->index);
    parts_.table.remove(entry->index);
    ++result.removed;
  }
  return result;
}

Expected<void> Tunnels::add(const config::Tunnel& wanted) {
  auto link = host::Tap::create({wanted.name, {}, wanted.mtu, true});
  if (!link) return link.error();
  const auto index = parts_.table.add(traits_of(wanted));
  if (!index) return index.error();
  auto& entry =
      *entries_.emplace(wanted.name, std::make_unique<Entry>(Entry{wanted, std::move(*link), *index}))
           .first->second;
  parts_.host_path.add_tunnel(*index, entry.link);
  parts_.loop.watch(entry.link.fd(), [this, &entry] { take_packets(entry); });
  return add_addresses(entry, wanted.addresses);
}

Expected<void> Tunnels::change(Entry& entry, const config::Tunnel& wanted) {
  const auto before = std::exchange(entry.tunnel, wanted);
  parts_.table.change(entry.index, traits_of(wanted));
  Expected<void> done;
  if (before.mtu != wanted.mtu) done = entry.link.set_mtu(wanted.mtu);
  for (const auto& address : before.addresses)
    if (std::ranges::find(wanted.addresses, address) == wanted.addresses.end())
      if (auto removed = parts_.kernel.remove_address(entry.link.ifindex(), address); !removed)
        done = removed;
  if (auto added = add_addresses(entry, wanted.addresses); !added) done = added;
  return done;
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
  const auto present = sas.current_sas(entry.tunnel.connection);
  if (present.inbound && present.outbound) return "";
  return fmt::format("connection {} has no {} SA", entry.tunnel.connection,
                     present.inbound    ? "outbound"
                     : present.outbound ? "inbound"
                                        : "inbound or outbound");
}

std::vector<host::TunnelLink> Tunnels::links() const {
  std::vector<host::TunnelLink> result;
  for (const auto& [name, entry] : entries_)
    result.push_back({entry->index, entry->link.ifindex(), name, entry->tunnel.mtu});
  return result;
}

std::unordered_map<std::string, tunnel::Index> Tunnels::by_connection() const {
  std::unordered_map<std::string, tunnel::Index> result;
  for (const auto& [name, entry] : entries_) result.emplace(entry->tunnel.connection, entry->index);
  return result;
}

std::vector<Tunnels::Report> Tunnels::report(const sa::SaManager& sas, const host::KernelView& view) const {
  std::vector<Report> result;
  for (const auto& [name, entry] : entries_) {
    auto reason = why_down(*entry, sas);
    const auto* link = view.link(entry->link.ifindex());
    if (reason.empty() && link != nullptr && !link->up)
      reason = fmt::format("its link is down; `ip link set {} up`", name);
    const auto drops = parts_.table.at(entry->index).drops.load(std::memory_order_relaxed);
    result.push_back({entry->tunnel,
                      entry->gone      ? "gone"
                      : reason.empty() ? "up"
                                       : "down",
                      std::move(reason), drops});
  }
  return result;
}

std::string Tunnels::name_of(tunnel::Index index) const {
  for (const auto& [name, entry] : entries_)
    if (entry->index == index) return name;
  return {};
}

}  // namespace espgate::daemon
