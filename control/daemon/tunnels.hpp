// The tunnels of the configuration: for each a link in the kernel, an entry in the workers' table, and the
// connection behind it; for a multipoint one also an entry for each peer with its connection. Links are there
// from the start (or the reload that brings them) until the tunnel leaves the configuration or the daemon
// ends; a change keeps the link, and with it the kernel's routes through it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/event_loop.hpp"
#include "control/daemon/host_path.hpp"
#include "control/host/hop_pool.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/tunnel/tunnel_table.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/kernel_view.hpp"
#include "drivers/host/tap.hpp"

namespace espgate::daemon {

// Control thread only.
class Tunnels {
 public:
  struct Parts {  // all outlive the tunnels
    tunnel::TunnelTable& table;
    host::KernelCommands& kernel;
    HostPath& host_path;
    EventLoop& loop;
    // Called when `links` and `by_connection` have changed. When it returns, no route leads into a tunnel
    // that has left them, and no connection uses one.
    std::function<void()> changed;
  };
  explicit Tunnels(Parts parts) : parts_(std::move(parts)) {}
  ~Tunnels();
  Tunnels(const Tunnels&) = delete;
  Tunnels& operator=(const Tunnels&) = delete;

  struct Change {
    std::size_t added = 0;
    std::size_t removed = 0;
    std::size_t changed = 0;
    std::size_t kept = 0;
    std::vector<std::string> problems;  // "FILE:LINE: what; remedy"; everything else was done
  };
  // Makes the tunnels what `configuration` says, by difference. Their names are all different.
  Change configure(const config::Configuration& configuration);
  // Lets each link's carrier follow its connection's SAs, or those of any of its peers. To be called every
  // 100 ms or so.
  void follow(const sa::SaManager& sas);

  std::vector<host::TunnelLink> links() const;
  std::unordered_map<std::string, tunnel::Index> by_connection() const;

  struct PeerReport {
    const config::TunnelPeer& peer;  // valid until the next configure
    bool up = false;                 // SAs in both directions
    std::uint64_t drops = 0;
  };
  struct Report {
    const config::Tunnel& tunnel;  // valid until the next configure
    std::string_view state;        // "up", "down", "gone"
    std::string reason;            // why it is not up, or empty
    std::uint64_t drops = 0;       // the peers' included
    std::vector<PeerReport> peers;
  };
  // In the order of their names.
  std::vector<Report> report(const sa::SaManager& sas, const host::KernelView& view) const;
  // The name of the tunnel that has this index in the table, or a peer with it; empty when there is none.
  std::string name_of(tunnel::Index index) const;
  // The interface of the tunnel that names the connection; empty: none does.
  std::string interface_of(const std::string& connection) const;

 private:
  struct Entry {
    config::Tunnel tunnel;
    host::Tap link;
    tunnel::Index index;
    std::map<std::string, tunnel::Index> peers;  // multipoint: by connection
    bool carrier = false;
    bool gone = false;  // somebody removed the link
  };
  using Entries = std::map<std::string, std::unique_ptr<Entry>>;

  Expected<void> add(const config::Tunnel& wanted);
  Expected<void> change(Entry& entry, const config::Tunnel& wanted, std::vector<tunnel::Index>& leaving);
  Expected<void> set_peers(Entry& entry, std::vector<tunnel::Index>& leaving);
  void remove(tunnel::Index index);
  Expected<void> add_addresses(const Entry& entry, const std::vector<net::InterfaceAddress>& addresses);
  void take_packets(Entry& entry);
  static std::optional<tunnel::Index> index_of(const Entry& entry, const config::TunnelPeer& peer);
  std::string why_down(const Entry& entry, const sa::SaManager& sas) const;

  Parts parts_;
  Entries entries_;
};

}  // namespace espgate::daemon
