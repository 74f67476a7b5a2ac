// IKEv2 in the daemon: feeds the protocol core with what happens, and carries out what it wants.
//
//   workers ── IKE frames ──► HostPath ──► received ─┐            ┌─► IP packets ──► HostPath ──► worker 0
//   timer, commands, expiry, traffic on SAs ─────────┼─► IkeCore ─┼─► SaManager: SPIs, SAs
//   WorkThreads: key exchanges and signatures done ──┘            ├─► WorkThreads
//                                                                 └─► log, journal
//
// A connection of the configuration with an `ike` group is one connection of the core with one child of the
// same name, and one connection of the SA manager. If it has peers at any address, the SA manager has one
// connection more for each of them, while it is there: road#1, road#2. Control thread only.
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/assigned_addresses.hpp"
#include "control/daemon/ended_ike_sas.hpp"
#include "control/daemon/failure_news.hpp"
#include "control/daemon/give_way.hpp"
#include "control/daemon/host_path.hpp"
#include "control/daemon/ike_history.hpp"
#include "control/daemon/journal.hpp"
#include "control/daemon/late_datagrams.hpp"
#include "control/daemon/movable_connections.hpp"
#include "control/daemon/work_threads.hpp"
#include "control/ike/core.hpp"
#include "control/recovery/line_budget.hpp"
#include "control/recovery/repair.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/forward/forwarding.hpp"
#include "datapath/policy/classifier.hpp"
#include "datapath/tunnel/tunnel_table.hpp"

namespace espgate::daemon {

class IkeService final : public recovery::Repairer {
 public:
  struct Parts {  // all outlive it
    HostPath& path;
    sa::SaManager& sas;
    sa::SaStore& store;
    const policy::Classifier& policies;
    const tunnel::TunnelTable& tunnels;
    Journal& journal;
    AssignedAddresses* assigned = nullptr;            // null: addresses that peers give are not taken
    net::IkeSpis ike_spis{};                          // the workers'
    Cpus spare_cpus{};                                // for public-key work; none: the control loop's
    sa::SpiJournal* spi_journal = nullptr;            // null: none is kept
    const host::KernelView* kernel = nullptr;         // null: our addresses are taken to be there
    const forward::Forwarding* forwarding = nullptr;  // null: each neighbour is taken to be known
  };
  IkeService(Parts parts, const config::Limits& limits);

  // Whether any connection negotiates, or did and its peer may still answer: then IKE messages are ours, and
  // else the kernel's.
  bool in_use() const { return !connections_.empty() || !core_.is_empty(); }

  // After SaManager::configure. Connections that are as before keep their SAs; those that changed are
  // negotiated anew. Of connections that share an IKE SA the IKE SA stays if what they share is as before.
  struct Change {
    std::size_t added = 0, removed = 0, changed = 0, kept = 0;
  };
  // `pause` is called for each connection and may do everything else meanwhile, but configure; what happens
  // then waits until the connections are in force. So does what happens while SaManager::configure pauses,
  // since peers come and go there.
  Change configure(const config::Configuration& configuration, Moment now,
                   const std::function<void()>& pause = {});

  // An Ethernet frame with an IKE message, as a worker punted it.
  void received(std::span<const std::uint8_t> frame, Moment now);
  // Readable while public-key work is done; then `deliver`.
  int descriptor() const { return work_.descriptor(); }
  unsigned deliver() { return work_.deliver(); }
  // A worker had no neighbour for a packet to that destination, which may have been one of ours.
  void neighbour_missing(const net::Address& destination, Moment now) {
    late_.was_unreachable(destination, now.steady);
  }
  // One thing of those that are due; 0: none is. Every millisecond or so.
  unsigned run_timer(Moment now);
  // The kernel's links, addresses or routes changed: its view has that already.
  void kernel_changed(const host::Event& event) { movable_.note(event); }
  // What that means for one of the connections that may move; 0: nothing was to be done. Each round.
  unsigned follow_addresses(Moment now);
  // What traffic says; bounded work. Every few milliseconds.
  void tick(Moment now);
  // An SA of a connection of ours came to a stage of its lifetime.
  void lifetime_reached(const sa::LifetimeNews& news, Moment now);

  // A reload is being put in force: events are kept until it is.
  bool must_wait() const { return is_configuring_ || parts_.sas.configuring(); }
  // For the end, and not while it must wait: tells all peers, and takes no new ones; quiet once they have
  // answered.
  void stop(Moment now);
  bool is_quiet() const { return core_.is_quiet(); }

  // By an IKE SA that is there, or by one that is begun for it, as the connection says.
  recovery::Repair repair(std::string_view connection, const sa::SpiMiss& miss, Moment now) override;
  // The first is given out from here on, and the others count.
  void set_token_secrets(std::vector<Secret> secrets) {
    core_.set_tokens(ike::CrashTokens(std::move(secrets)));
  }

  // Errors: no such connection, or not one that negotiates.
  // A peer of a connection that has them at any address goes by its own name, but for `initiate`.
  Expected<void> initiate(const std::string& connection, Moment now);
  Expected<void> terminate(const std::string& connection, Moment now);
  // Deletes the child that an SA belongs to, at the peer, too; another is made if the connection is kept up.
  // False: the SA is no child's that is in use.
  bool delete_child(const std::string& connection, sa::Direction direction, std::uint32_t spi, Moment now);
  // The child SA, or the IKE SA that it belongs to.
  enum class What : std::uint8_t { child, ike };
  Expected<void> rekey(const std::string& connection, What what, Moment now);

  // One of the peers that a connection has at any address, with its SAs and policies.
  struct Peer {
    std::string name;  // "road#1"
    std::string connection;
    ike::Identity identity;
    net::Address local;  // outer addresses, where it was at first
    net::Address address;
    std::size_t inbound_sas = 0;
  };
  // null: no peer is called so.
  const Peer* peer(const std::string& name) const;
  std::vector<const Peer*> peers_of(const std::string& connection) const;
  // Of those of all connections, by their names the first behind this one; null: there is none.
  const Peer* next_peer_after(const std::string& name) const;
  // The connection of the configuration that a name is of: a peer's, else the name itself. As long as that.
  const std::string& configured_name(const std::string& name) const;
  // A connection's name, or that of its peer which the IKE SA is with.
  const std::string& name_with(const std::string& connection, const ike::IkeSa& sa) const;

  const ike::IkeCore& core() const { return core_; }
  // With their keys, while those may be exported.
  const EndedIkeSas& ended() const { return ended_; }
  // What was done with that peer lately, and said of the connection with it if it has that peer alone; oldest
  // first.
  std::vector<recovery::HistoryLine> history_of(const net::Address& peer,
                                                const std::string& connection) const;
  // What was said of a connection lately, oldest first; null: it does not negotiate.
  struct Line {
    Moment when;
    std::string text;
  };
  const std::deque<Line>* lines(const std::string& connection) const;
  // By an operator, and not up since; false: no such connection.
  bool is_terminated(const std::string& connection) const {
    const auto found = connections_.find(connection);
    return found != connections_.end() && found->second.is_terminated;
  }
  // Why it went down when it was up before, or `terminate`; empty: neither.
  std::string down_because(const std::string& connection) const;
  // In a process before this one, as far as is remembered.
  bool had_sas_before(const std::string& connection) const {
    return parts_.spi_journal != nullptr && parts_.spi_journal->was_before(connection);
  }
  // Of its IKE SA, if nothing of the above came after it; empty: there is none.
  std::string failure(const std::string& connection) const;

 private:
  struct Known {
    ike::ConnectionHandle handle;
    config::Connection settings;
    std::uint64_t demand = 0;  // packets that found no SA, when last looked at
    std::deque<Line> lines;
    std::string down_because;
    bool is_terminated = false;                       // by an operator, and did not come up since
    unsigned peers_so_far = 0;                        // at any address
    ike::Time down_since = ike::Time::min();          // of that
    std::optional<std::vector<net::Address>> usable;  // of our addresses, as was said last
  };
  struct InboundSpi {
    std::string connection;
    std::uint32_t index = sa::no_sa;  // in the store, once installed
    std::uint64_t packets = 0;        // when last looked at
  };

  // The SAs of the child that a connection's traffic goes out by.
  struct InUse {
    std::uint32_t inbound_spi = 0;
    std::uint32_t outbound_spi = 0;
  };

  // -- peers at any address (ike_peers.cpp) --
  // The SA manager's connection for a child's SAs. None: there is no such connection.
  const std::string* connection_of(const std::string& child, const std::optional<ike::Identity>& peer) const;
  Expected<std::string> come(const ike::ChildSaParameters& child, Moment now);
  void go_if_empty(const std::string& name, Moment now);

  void tell(Known& known, spdlog::level::level_enum level, std::string text, Moment now);
  void refused(const std::string& connection, std::uint32_t inbound_spi, std::string_view direction,
               const Error& error, Moment now);
  void went_up(const ike::InstallOutbound& action, const std::string& connection, Moment now);
  void went_down(const ike::RetireOutbound& action, const std::string& connection, Moment now);
  // Of a connection, or of its peer at that address where it has them at any.
  static std::string who(const config::Connection& connection, const net::Address& peer);
  bool is_established(const std::string& connection);
  recovery::Repair repair_by(const std::string& connection, const std::string& child, const sa::SpiMiss& miss,
                             Moment now);
  void say_if_unwritten(const Expected<void>& noted);
  std::optional<ike::Endpoint> in_udp_from(const sa::SpiMiss& miss) const;
  bool knows_way_to(const net::Address& address) const;
  recovery::Repair send_token(const sa::SpiMiss& miss, Moment now);
  void feed(ike::Event event, Moment now);
  void handle_events(Moment now, const std::function<void()>& pause = {});
  void carry_out(const ike::Actions& actions, Moment now, const std::function<void()>& pause = {});
  void act(const ike::SendDatagram& action, Moment now);
  void act(const ike::RunWork& action, Moment now);
  void act(const ike::InstallInbound& action, Moment now);
  void act(const ike::OwnChild& action, Moment now);
  void act(const ike::InstallOutbound& action, Moment now);
  void act(const ike::RetireInbound& action, Moment now);
  void act(const ike::RetireOutbound& action, Moment now);
  void act(const ike::MoveChild& action, Moment now);
  void act(const ike::KeepNatMapping& action, Moment now);
  void act(const ike::TakeAddresses& action, Moment now);
  void act(const ike::DropAddresses& action, Moment now);
  void act(const ike::KeysEnded& action, Moment now) { ended_.add(action, now); }
  void act(const ike::AttemptFailed& action, Moment now);
  void act(const ike::LogLine& action, Moment now);

  std::optional<std::uint32_t> reserve_spi(const std::string& connection);
  std::optional<sa::SaParameters> parameters(const ike::ChildSaParameters& child) const;
  void look_at_traffic(Moment now);
  void look_at_next(std::deque<std::uint32_t>& spis, Moment now);
  void look_at_demand(Moment now);
  void look_where_we_are(const MovableConnections::Connection& connection, Moment now);
  std::uint64_t demand_of(const config::Connection& connection) const;
  Expected<void> known(const std::string& connection) const;
  // What is there already for connections that share an IKE SA.
  struct Inherited {
    ike::ConnectionHandle handle;    // null: nothing
    std::set<std::string> children;  // that go on as they are
  };
  Inherited inherited_by(std::span<const config::Connection* const> family) const;
  // The IKE SA's connection, which of its children this one is, empty for the one that has the IKE SA, and
  // which peer's.
  struct Place {
    std::string connection;
    std::string child;
    std::optional<ike::Identity> peer;
  };
  Place place_of(const std::string& connection) const;
  bool has_what_to_rekey(const std::string& name, What what) const;
  // Of the child that an SA belongs to; 0: none's.
  std::uint32_t inbound_spi_of(const std::string& connection, sa::Direction direction,
                               std::uint32_t spi) const;

  // For who follows each step; of more than so many a second, as in a flood, their number.
  static constexpr std::uint32_t step_lines_a_second = 500;
  bool may_tell_step(Moment now);
  void log_message(std::string_view way, const ike::Endpoint& peer, ike::Bytes message, Moment now);

  Parts parts_;
  recovery::LineBudget step_lines_{step_lines_a_second};
  WorkThreads work_;
  EndedIkeSas ended_;
  ike::IkeCore core_;
  LateDatagrams late_;
  IkeHistory history_;
  FailureNews failures_;
  Moment now_;                     // of the event at hand
  std::deque<ike::Event> events_;  // that one, and those that it brings about
  bool is_carrying_out_ = false;
  bool is_stopping_ = false;
  bool is_configuring_ = false;
  bool journal_is_written_ = true;
  std::unordered_map<std::string, Known> connections_;
  std::unordered_map<std::uint32_t, InboundSpi> inbound_;    // by SPI
  std::unordered_map<std::string, InUse> in_use_;            // by connection
  std::map<std::string, Peer> peers_;                        // by name
  std::unordered_map<std::string, std::string> peer_names_;  // by connection and identity
  std::deque<std::uint32_t> unheard_;                        // inbound SPIs without a packet yet, in turn
  std::deque<std::uint32_t> heard_;                          // the others
  std::vector<std::string> on_demand_;
  std::size_t next_demand_ = 0;
  MovableConnections movable_;
};

}  // namespace espgate::daemon
