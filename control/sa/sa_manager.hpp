// The life of every SA, from the reserved SPI to the forgotten tombstone: the only caller of the store's
// writer side and of the outbound policy table.
//
// Purpose: SAs and policies follow the configuration (at start, and on reload by difference) and whoever
// negotiates SAs; no reader ever sees a freed entry; a rekey loses no packet; traffic that must be
// protected is never without a policy that says so; each SPI can be explained as long as memory lasts.
// Non-goals: negotiating, reading files, waiting.
//
// A rekey, in the order that loses nothing:
//   1. the new inbound SA is active         (the peer may send on it from here on)
//   2. policies name the new outbound SA    (we send on it)
//   3. the old outbound SA is freed after the readers' grace
//   4. the old inbound SA lingers, then becomes a tombstone, then is forgotten
//
// What counts as a change on reload is decided SA by SA: an SA whose parameters and key are as before is
// not touched. A new SA with the SPI of the old one takes its place at once, without lingering. When
// key and SPI stay (only addresses, selectors or the window changed), the sequence number space goes on:
// packets of the old SA cannot be replayed to the new one, and the peer's window stays in step with us.
//
// An SA at its hard lifetime is expired: workers drop what comes for it, by that name, and never in clear.
// One of the configuration's stays, expired, through every reload that does not change it, since it would
// come back with the same key; one that was negotiated is retired. A key of the configuration's is remembered
// when its SA goes: should it come back, its lifetime and its sequence numbers go on.
//
// Everything runs on the control thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/sa/earlier_spis.hpp"
#include "control/sa/inbound_sas.hpp"
#include "control/sa/lifetimes.hpp"
#include "control/sa/outbound_sas.hpp"
#include "control/sa/policy_book.hpp"
#include "control/sa/spi_journal.hpp"

namespace espgate::sa {

// The store for these limits: tombstones and lingering SAs have room beside the SAs that carry traffic,
// and a rekey has a spare outbound entry. A reload that rekeys more than there is room for goes on in
// steps as the readers' grace passes.
Limits store_limits(const config::Limits& limits, unsigned workers, std::uint64_t tsc_hz = 0);

struct ConfigureProblem {
  std::string connection;  // empty: not one connection's
  std::string file;
  unsigned line = 0;
  Error error;
  std::string text() const;  // "FILE:LINE: connection NAME: what; remedy"
};

// Each connection is counted as one of added, changed, unchanged and removed.
struct ConfigureResult {
  std::vector<ConfigureProblem> problems;  // the rest of the configuration is in force all the same
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t unchanged = 0;
  std::size_t removed = 0;
  struct Policies {  // of the file's own list
    std::size_t added = 0;
    std::size_t changed = 0;
    std::size_t unchanged = 0;
    std::size_t removed = 0;
  } policies;
  std::size_t deferred = 0;  // of the connections, how many wait for freed entries; tick goes on with them
  bool stopped = false;      // `stop` said so: only some of the configuration is in force
};

struct SaReport {
  Direction direction = Direction::inbound;
  std::uint32_t index = no_sa;  // in the store
  std::uint32_t spi = 0;
  std::string_view connection;  // valid until the next change
  std::string_view state;       // "larval", "active", "lingering", "expired", "retired"
  Moment since;                 // when it came to that state
  std::string_view reason;      // why retired, or empty
  std::uint32_t successor = 0;  // inbound, after a rekey
  Totals totals;
  Lifetime lifetime;
  LifetimeUsed used;  // packets and bytes, if it has a lifetime at all; seconds: see `began`
  Moment began;
};

// What becomes of a connection's inbound SA when another one is installed. One that `stays` is as good as the
// new one until it is superseded or retired: IKE deletes it when both sides have moved on (RFC 7296 2.8).
enum class Predecessor : std::uint8_t { lingers, stays };

struct ConnectionReport {
  std::string_view name;  // valid until the next configure
  unsigned line = 0;
  std::uint32_t inbound_spi = 0;  // 0: none
  std::uint32_t outbound_spi = 0;
  Totals inbound;  // of all its SAs, those that are gone included
  Totals outbound;
  unsigned peer_moves = 0;  // how often its peer was found elsewhere than before
  Moment peer_moved;        // the last time
};

struct SpiReport {
  SpiFacts facts;
  std::vector<SaReport> sas;      // SAs with this SPI: at most one inbound, any number outbound
  std::vector<LifeEvent> events;  // of the inbound SPI, oldest first
};

class SaManager final : public SpiKnowledge {
 public:
  struct Parts {  // all outlive the manager
    SaStore& store;
    PolicySink& policies;
    ReaderGrace& grace;
    RandomSource random;
    Log log;
    // An SA came to a stage of its lifetime.
    std::function<void(const LifetimeNews&)> lifetime = {};
    tunnel::TunnelTable* tunnels = nullptr;  // nullptr: connections have none
    // An outbound SA, by its index in the store, is about to be named by policies, or its peer moved.
    std::function<void(std::uint32_t)> outbound_path = {};
    // Sends a dummy packet by policy, or by the tunnel of a connection that has one. One that is lost does
    // not matter.
    std::function<void(std::span<const std::uint8_t> ip_packet, tunnel::Index)> dummy = {};
    const SpiJournal* journal = nullptr;  // nullptr: SPIs of before a restart are not known
  };
  struct Options {
    std::size_t tombstones = 10'000;
    std::chrono::nanoseconds tombstone = std::chrono::seconds(300);
    std::chrono::nanoseconds linger = std::chrono::seconds(30);
  };
  SaManager(Parts parts, const Options& options);

  // Makes SAs and policies what `configuration` says. The first call starts from nothing. A hundred thousand
  // connections take half a second, so `stop` is asked every few steps, a fraction of a millisecond apart:
  // once it says yes the work is left as it is, for somebody about to leave. It may take its time, and do
  // with this manager whatever `configuring` does not forbid.
  ConfigureResult configure(const config::Configuration& configuration, Moment now,
                            const std::function<bool()>& stop = {});
  // True for what a `stop` does: no other `configure` then, nor policies by hand, nor peers that come or go.
  bool configuring() const { return static_cast<bool>(pause_); }

  // Which tunnel of the table each connection has, by its name; those not named have none. To be called
  // before the `configure` that brings a tunnel's connection, and before a tunnel leaves the table.
  void set_tunnels(std::unordered_map<std::string, tunnel::Index> by_connection);

  // A connection beside those of the configuration: a peer of the one called `of`, which has them at any
  // address. It goes with that one, or by remove_peer. It has no keys of its own. Errors, and nothing
  // changed: the name is taken, another connection protects some selector, no room for its policies,
  // configuring.
  Expected<void> add_peer(const std::string& of, config::Connection wanted, Moment now);
  // Its inbound SAs end as they would have. No error: it may be gone. Not while configuring.
  void remove_peer(const std::string& name, Moment now);
  // A larval SA becomes another connection's. Errors: no such SA or connection.
  Expected<void> hand_over(std::uint32_t spi, const std::string& connection);

  // An SPI that no inbound SA has, nor had as far as is known: 256 or above. The only place where SPIs are
  // chosen. Errors: the random source is broken.
  Expected<std::uint32_t> allocate_spi();
  // Publishes the SPI as larval, for no connection when that is empty. Errors: no such connection, SPI
  // reserved or in use, table full.
  Expected<void> reserve(const std::string& connection, std::uint32_t spi, Moment now);
  // Makes the larval SA of parameters.spi its connection's inbound SA.
  Expected<void> install_inbound(const SaParameters& parameters, Moment now,
                                 Predecessor predecessor = Predecessor::lingers);
  // An active SA has a successor: it lingers. Errors: no such SA.
  Expected<void> supersede_inbound(std::uint32_t spi, Moment now);
  // Switches the connection's policies to a new outbound SA; the one before goes after the grace. On
  // error the one before stays in use.
  Expected<void> install_outbound(const std::string& connection, const SaParameters& parameters, Moment now);
  // A whole rekey, as above. `inbound.spi` may be larval already. On error the connection is as before.
  Expected<void> replace(const std::string& connection, const SaParameters& inbound,
                         const SaParameters& outbound, Moment now);
  // Makes a tombstone of a larval, active or lingering SA. Errors: no such SA.
  Expected<void> retire_inbound(std::uint32_t spi, Reason reason, Moment now);
  // From here on the connection's traffic is dropped until it has another outbound SA. An SA of the
  // configuration's stays listed as retired until then.
  Expected<void> retire_outbound(const std::string& connection, Reason reason, Moment now);

  // A policy by hand, until the next `configure`, which knows nothing of it: one of a connection's, or of the
  // list, which says `decision`. Constant work but for what the connection has. Errors: no such connection,
  // the selector has a policy of that kind, no room, configuring.
  Expected<const Policy*> add_policy(const PolicyBook::Wanted& wanted, policy::Decision decision);
  // One of policies(), until the next `configure`. Error: configuring.
  Expected<void> remove_policy(const Policy& policy);

  // A good packet of an inbound SA came from elsewhere: its connection's peer is there now, until the SAs are
  // replaced. Logged. No error: the SA may be gone.
  void peer_moved(std::uint32_t spi, const net::Address& peer, std::uint16_t port, Moment now);
  // A worker found that an SA came to a stage of its lifetime. No error: the SA may be gone.
  void lifetime_reached(const LifetimeReached& reached, Moment now);
  // Calls `send` with each outbound SA that has sent nothing for its connection's nat-keepalive. Looks at a
  // bounded number a call, in turn: to be called every ten milliseconds or so.
  void visit_silent(Moment now, const std::function<void(const OutboundSa&)>& send);

  // Moves on a little of what is due, and says how many pieces: as long as it is any there may be more. To be
  // called every few milliseconds or so.
  unsigned move_on(Moment now);
  // What else has its time; bounded work. To be called every 10 ms.
  void tick(Moment now);

  // -- queries --
  SpiFacts about(std::uint32_t spi) const override;
  std::string_view connection_of_peer(const net::Address& remote) const override;
  // Every SA of a connection that is in the store and not yet given up, inbound ones first. An empty name:
  // SPIs that were reserved for none.
  using Visitor = std::function<void(const SaReport&)>;
  void visit(const std::string& connection, const Visitor& visitor) const;
  // The same of a connection that left the configuration, the next one behind `place` (0: the first), which
  // moves on. False: there is none.
  bool visit_former(std::uint64_t& place, const Visitor& visitor) const;
  // How many SAs there are; `retired` with those that are past their hard lifetime.
  struct Use {
    std::size_t larval = 0;
    std::size_t active = 0;
    std::size_t retired = 0;
  };
  Use use(Direction direction) const;
  // None: no such connection.
  std::optional<ConnectionReport> connection_report(const std::string& name) const;
  SpiReport report(std::uint32_t spi) const;
  // Which SAs a connection has now that carry traffic; none when there is no such connection.
  struct CurrentSas {
    bool inbound = false;
    bool outbound = false;
  };
  CurrentSas current_sas(const std::string& connection) const;
  // That routes lead into for it; no_tunnel: none.
  tunnel::Index tunnel_of(const std::string& connection) const;
  // 0: none, or no such connection.
  std::uint32_t current_outbound_spi(const std::string& connection) const;
  const PolicyBook& policies() const { return book_; }
  // Of a connection; valid until the next configure.
  std::span<Policy* const> policies_of(const std::string& connection) const;
  std::size_t stories() const { return stories_.size(); }
  std::size_t lifetimes_watched() const { return lifetimes_.size(); }  // ends in seconds that are to come
  std::size_t waiting_for_readers() const { return reaper_.waiting(); }

 private:
  struct Plan;
  struct Application;
  enum class Again : std::uint8_t;

  SpiFacts about(std::uint32_t spi, const std::optional<SpiJournal::Entry>& noted) const;
  Expected<ConnectionHandle> connection(const std::string& name) const;
  ConnectionHandle new_connection();
  // The SAs to come follow none that were: they may be another peer's.
  void begin_anew(Connection& connection);
  Expected<void> point_policies(Connection& connection);
  void point_tunnel(Connection& connection, policy::Decision decision);
  // Frees a retired outbound SA once neither a policy nor a tunnel names it.
  void unlink_unnamed(std::uint32_t outbound_sa);
  Expected<InboundRecord*> reserve_inbound(std::uint32_t spi, const ConnectionHandle& owner, Moment now);
  // Its peer has another inbound SA by now.
  bool is_followed(std::uint32_t earlier_spi) const;
  Expected<void> switch_outbound(const ConnectionHandle& connection, const SaParameters& parameters,
                                 Moment now);
  void drop_outbound(Connection& connection, Reason reason, Moment now);
  // The inbound SA goes; another one that stayed takes its place as the connection's, if there is one.
  void leave_current(const InboundRecord& record);
  void make_current(InboundRecord& record, Moment now, Predecessor predecessor = Predecessor::lingers);

  class Stopped;

  Plan plan(const config::Configuration& configuration, ConfigureResult& result);
  void carry_out(const config::Configuration& configuration, Moment now, ConfigureResult& result);
  void keep_peers(const config::Configuration& configuration);
  void hand_over_spis(const Plan& plan, Moment now);
  void give_up(InboundRecord& record, Moment now);
  void apply(const ConnectionHandle& connection, const config::Connection& wanted, Application& result,
             Moment now);
  void apply_inbound(const ConnectionHandle& connection, const config::Connection& wanted,
                     Application& result, Moment now);
  Expected<void> install_in_place(const ConnectionHandle& connection, const SaParameters& parameters,
                                  Moment now);
  void apply_outbound(const ConnectionHandle& connection, const config::Connection& wanted,
                      Application& result, Moment now);
  void apply_policies(const Plan& plan, ConfigureResult* result);
  std::size_t remove_leaving(const Plan& plan, Moment now);
  // Of so many.
  std::vector<ConfigureProblem> retry_deferred(std::size_t most, Moment now);
  bool apply_deferred(Moment now);  // one; false: there is none, or no room for it yet
  void index_peers(const config::Configuration& configuration);
  bool end_a_lifetime(Moment now);  // or say that one ends soon; false: none is due
  void list_senders();
  void send_dummies(Moment now);
  SaReport report_of(const InboundRecord& record) const;
  SaReport report_of(std::uint32_t outbound_index) const;
  void visit(const Connection& connection, const Visitor& visitor) const;

  Parts parts_;
  LifeStories stories_;
  Reaper reaper_;
  Lifetimes lifetimes_;
  KeyMemory keys_;
  InboundSas inbound_;
  EarlierSpis earlier_;
  OutboundSas outbound_;
  PolicyBook book_;
  std::unordered_map<std::string, ConnectionHandle> connections_;
  std::uint64_t last_owner_ = 0;                               // of the connections' SAs
  ConnectionHandle unowned_ = std::make_shared<Connection>();  // of SPIs reserved for no connection
  std::unordered_map<net::Address, ConnectionHandle> peers_;   // by remote address
  struct PeerOfMany {
    std::string of;  // the configuration's connection
    config::Connection settings;
    std::uint64_t arrival = 0;  // later ones have higher numbers, and policies behind
  };
  std::map<std::string, PeerOfMany> peers_of_many_;  // by name
  std::uint64_t arrivals_ = 0;
  std::unordered_map<std::string, tunnel::Index> tunnels_;  // by connection
  std::map<std::uint64_t, ConnectionHandle> former_;        // that left, until their SAs are gone
  std::uint64_t last_former_ = 0;
  std::vector<ConnectionHandle> keepalive_senders_;
  std::size_t next_keepalive_sender_ = 0;
  std::vector<ConnectionHandle> dummy_senders_;
  std::size_t next_dummy_sender_ = 0;
  std::deque<config::Connection> deferred_;  // connections of the configuration that found the store full
  bool deferred_wait_ = false;               // for the next tick
  std::string file_;                         // of the last configuration
  PolicyBook::Pause pause_;                  // while configuring
};

}  // namespace espgate::sa
