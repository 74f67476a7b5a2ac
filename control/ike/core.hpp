// The protocol core: all IKE SAs with all peers, as a pure function of what happens and when:
//
//   (now, event) -> actions
//
// It owns the SPIs of IKE SAs, the limits on who may begin, COOKIEs, the timers of all SAs, and when a
// connection is tried again. It does no I/O, looks at no clock and starts no thread: whoever runs it hands in
// datagrams, time and finished work, carries out the actions in order, and comes back at `deadline`.
//
// Reports of what is there are views that the next event ends. One owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/ike/cookies.hpp"
#include "control/ike/deadlines.hpp"
#include "control/ike/half_open.hpp"
#include "control/ike/ike_sa.hpp"
#include "control/ike/leases.hpp"
#include "control/ike/peer_sas.hpp"
#include "control/ike/refusals.hpp"
#include "control/ike/unprotected_budget.hpp"
#include "datapath/net/ike_spis.hpp"

namespace espgate::ike {

class IkeCore final : private SaHost {
 public:
  struct Parts {
    RandomSource random;
    // Reserves an SPI of 256 or above for the child of that name, so that it is known from here on. None:
    // there is none.
    std::function<std::optional<std::uint32_t>(const std::string& child)> child_spi;
    net::IkeSpis ike_spis{};  // how those of IKE SAs are made
    CrashTokens tokens{};
    std::function<bool()> wants_steps{};  // see SaHost; empty: always
    std::function<bool()> wants_keys{};   // see SaHost; empty: never
  };
  IkeCore(Parts parts, const Limits& limits);
  ~IkeCore() override;

  // A connection that differs from the one before it in its children and keepalives at most: it keeps its IKE
  // SAs, with the children of these names, which are the same in both.
  struct Successor {
    ConnectionHandle before;
    ConnectionHandle connection;
    std::set<std::string> kept_children;
  };
  // Those that follow; those that were given out are good while one of their secrets is among these.
  void set_tokens(CrashTokens tokens) { parts_.tokens = std::move(tokens); }
  // What is configured from here on. Connections that are the same object as before keep their SAs; those
  // that are not there any more, or are another object and no successor, are closed. `pause` is called for
  // each of them, for a caller with many; nothing but reports may be asked of the core meanwhile.
  Actions configure(const std::vector<ConnectionHandle>& connections, Time now,
                    const std::vector<Successor>& successors = {}, const std::function<void()>& pause = {});
  Actions handle(const Event& event, Time now);
  // Closes everything, and lets nobody begin any more.
  Actions stop(Time now);
  // When TimerExpired is next wanted. Each does one thing of what is due: while more is, this has passed.
  Time deadline() const;

  // -- what is there --
  std::vector<const IkeSa*> ike_sas() const;  // oldest first
  std::size_t ike_sa_count() const { return sas_.size(); }
  // Of a connection, those that have not ended, oldest first; those that a peer has begun included.
  std::vector<const IkeSa*> ike_sas_of(const std::string& connection) const;
  // The oldest of those that are younger than that one, which may be gone; null: there is none.
  const IkeSa* next_after(SaId id) const;
  const IkeSa* ike_sa(SaId id) const;  // null: gone
  // Whose child has that SPI; null: nobody's.
  const IkeSa* ike_sa_of_child(std::uint32_t inbound_spi) const {
    const auto found = children_.find(inbound_spi);
    return found == children_.end() ? nullptr : ike_sa(found->second);
  }
  std::size_t half_open() const { return half_open_.size(); }
  // How many that peers began were refused because of the limit.
  std::uint64_t refused(Limit limit) const { return refusals_.count(limit); }
  bool is_empty() const { return sas_.empty(); }
  // No peer is still to be told, or to answer, that its IKE SA is gone.
  bool is_quiet() const;
  struct Failure {
    std::string reason;
    IkeSa::State state = IkeSa::State::greeting;  // how far its IKE SA had come
    Time when = Time::min();
    bool is_unanswered = false;  // the peer did not answer there
    bool lacks_room = false;     // it was for want of something of ours
  };
  // Why the connection is down; without a reason: it did not fail, or was up since. What came lately from its
  // peer's address, and was shown to be nobody's yet, is no more than added to what is known otherwise.
  Failure failure(const std::string& connection, Time now) const;
  std::string last_failure(const std::string& connection, Time now) const {
    return failure(connection, now).reason;
  }
  // Of one that we have begun: its own, and what was refused of what came from its peer's address.
  std::string refusal(const IkeSa& sa, Time now) const;
  // How often a peer of the connection lost what it had with us, as it told, and when that was last.
  struct PeerRestarts {
    unsigned count = 0;
    Time last = Time::min();
  };
  PeerRestarts peer_restarts(const std::string& connection) const;
  // How a connection's peer, or the one that is named, can be reached now.
  enum class Reach : std::uint8_t {
    established,  // an IKE SA is there
    beginning,    // and will be soon, or not
    possible,     // we may begin
    impossible,   // only the peer can
  };
  // When a child is replaced, by its inbound SPI; never: it is not, or there is none.
  Time rekey_at(std::uint32_t inbound_spi) const;
  std::uint64_t tokens_sent() const { return tokens_sent_; }  // RFC 6290
  // That there was too much of it lately for.
  std::uint64_t tokens_withheld() const { return tokens_withheld_; }
  Reach reach(const std::string& connection, const std::optional<Identity>& peer = {}) const;
  // Those that are configured with that remote address.
  std::vector<ConnectionHandle> connections_of_peer(const net::Address& remote) const {
    const auto found = peers_.find(remote);
    return found == peers_.end() ? std::vector<ConnectionHandle>() : found->second;
  }

 private:
  struct Record {
    ConnectionHandle connection;
    std::set<std::string> demanded;  // children, by an operator or by traffic, for the next attempt
    std::set<std::string> unwanted;  // children that an operator terminated, until one wants them again
    Time retry_at = never;
    Time not_before = Time::min();  // traffic does not begin it
    unsigned in_vain = 0;           // since it last was up, or its addresses changed
    unsigned failures = 0;          // since it last was up for long
    Time up_since = never;
    std::set<std::uint32_t> invalid_spis;  // that the peer is to hear of once it is up
    Failure last_failure;
    Failure hearsay;  // of somebody who may be anybody, at the peer's address
    PeerRestarts peer_restarts;
    std::vector<net::Address> usable;  // our addresses; empty: that was not said, or none is
    SaId goes_back = 0;                // to the first of them, once it is up; 0: none does

    void forget_failures() { last_failure = hearsay = {}; }
  };

  // -- events --
  void on(const DatagramReceived& datagram, Time now);
  void on(const TimerExpired& event, Time now);
  void on(const WorkFinished& event, Time now);
  void on(const TrafficWaits& event, Time now);
  void on(const LocalAddresses& event, Time now);
  void on(const Initiate& event, Time now);
  void on(const Terminate& event, Time now);
  void on(const Rekey& event, Time now);
  void on(const TrafficArrived& event, Time now);
  void on(const SoftExpired& event, Time now);
  void on(const HardExpired& event, Time now);
  void on(const SaDeleted& event, Time now);
  void on(const InvalidSpi& event, Time now);
  void on(const LostSpi& event, Time now);
  void on(const InstallFailed& event, Time now);

  // What comes with the SPIs of no IKE SA.
  void on_stray(const Header& header, const DatagramReceived& datagram, Time now);
  // `we_began`: whether the initiator's SPI was ours.
  void send_token(Header header, const Spis& spis, bool we_began, const std::vector<Notify>& reasons,
                  const Endpoint& from, const Endpoint& to, std::size_t most_bytes, UnprotectedBudget& budget,
                  Time now);
  void note_peer_restart(const IkeSa& sa, Time now);
  void hand_over(const std::vector<Successor>& successors, Time now);
  void on_greeting(const Header& header, const DatagramReceived& datagram, Time now);
  // Whether to make a line about a stranger at all, which counts as one: limits.stranger_lines_per_minute.
  bool may_tell_of_stranger(Time now);
  // About a connection, or about none.
  void log_stranger(const std::string& text, const std::string& connection, Time now);
  // Says so to the operator, and nothing to the peer.
  void refuse_by(Limit limit, std::size_t most, const Endpoint& peer, Time now);
  void refuse(const Header& header, const DatagramReceived& datagram, NotifyType error, Bytes data);
  bool has_cookie(const Header& header, const DatagramReceived& datagram, const Payloads& payloads, Time now);
  void accept_greeting(const Header& header, const DatagramReceived& datagram, const Payloads& payloads,
                       bool showed_cookie, Time now);
  // `natt`: by the peer's port of UDP encapsulation, if it is at the address that is configured.
  void begin(Record& record, Time now, const std::optional<Endpoint>& natt = {});
  IkeSa& begin_anew(const ConnectionHandle& connection, const net::Address& from,
                    std::vector<ChildHandle> children, Time now, const std::optional<Endpoint>& natt = {});
  static const net::Address& start_of(const Record& record);
  void go_back(IkeSa& sa, Time now);
  void try_again(Record& record, Time at);
  // Everything that may have changed with the SAs that an event touched: timers, standing, end.
  void settle_touched(Time now);
  void settle(SaId sa, Time now);
  void ended(const IkeSa& sa, Time now);
  void hand_on(const IkeSa& ended, Time now);
  void want_all(IkeSa& sa, Time not_before);
  void went_down(Record& record, const IkeSa& sa, Time now);
  void note_stranger(Record& record, const IkeSa& sa, Time now);
  // That is why it is down, or what somebody says who may be anybody. Whoever runs the core hears of it,
  // unless its peers may be at any address.
  void fail(Record& record, Failure failure, const Endpoint& remote);
  void note_hearsay(Record& record, Failure failure, const Endpoint& remote);
  bool has_hearsay(const Record& record, Time now) const;  // that is worth a word still
  static Failure failure_of(const IkeSa& sa, Time when);
  std::string with_hearsay(const Record& record, const std::string& reason, IkeSa::State state,
                           Time now) const;
  void log_end(const IkeSa& sa, Time now);
  void forget(SaId sa);
  IkeSa* owner_of(std::uint32_t inbound_spi);
  // Those of the connection, except those that are on their way out; of one peer, if it is named.
  std::vector<IkeSa*> those_of(const std::string& connection, const std::optional<Identity>& peer);
  std::vector<IkeSa*> living(const std::string& connection, const std::optional<Identity>& peer = {});
  bool has_living(const std::string& connection) const;
  // The peer has begun `sa`: what we have begun with it meanwhile, and not proved, goes unsaid.
  void give_up_greetings(IkeSa& sa, Time now);
  // What a peer has beyond its share goes: of `sa`'s peer the oldest, but not `sa`.
  void drop_surplus(const IkeSa& sa, Time now);
  Actions take_actions() { return std::exchange(actions_, {}); }
  IkeSa& create(Origin origin, Time now);

  // -- SaHost --
  const Limits& limits() const override { return limits_; }
  void act(Action action) override;
  std::optional<std::string> limited(const IkeSa& sa, Complaint about, const std::string& text,
                                     Time now) override;
  bool wants_steps() const override { return !parts_.wants_steps || parts_.wants_steps(); }
  bool wants_keys() const override { return parts_.wants_keys && parts_.wants_keys(); }
  void fill_random(std::span<std::uint8_t> bytes) override { parts_.random(bytes); }
  std::optional<CrashTokens::Token> crash_token(const Spis& spis, std::uint64_t ours) const override {
    return parts_.tokens.make(spis, ours);
  }
  void lost_by_peer(const IkeSa& sa, Time now) override;
  std::uint64_t new_ike_spi() override;
  std::optional<std::uint32_t> new_child_spi(const ChildConfiguration& child) override;
  std::vector<ConnectionHandle> candidates(const Endpoint& local, const Endpoint& remote) const override;
  std::vector<net::Address> usable_locals(const IkeSa& sa) const override;
  IkeSa* find(SaId sa) override;
  IkeSa& adopt(std::unique_ptr<IkeSa> sa) override;
  SaId new_sa_id() override { return next_id_++; }
  bool has_room_beside(const IkeSa& sa, Time now) override;
  void established(IkeSa& sa, Time now) override;
  void reauthenticate(const IkeSa& sa, Time now) override;
  bool is_redundant(const IkeSa& sa) const override;
  void initial_contact(const IkeSa& sa, Time now) override;
  bool is_first_contact(const IkeSa& sa) const override;
  void own_child(const Child& child, const IkeSa& sa) override;
  void disown_child(std::uint32_t inbound_spi) override { children_.erase(inbound_spi); }
  std::uint32_t current_outbound(const std::string& key) const override;
  void set_current_outbound(const std::string& key, std::uint32_t spi) override;
  bool other_takes_over(const IkeSa& sa, const std::string& key, Time now) override;
  bool has_other_peer(const IkeSa& sa, const std::string& child,
                      const std::vector<SelectorSide>& sides) const override;
  std::vector<net::Address> lease(const IkeSa& sa, const AddressesWanted& wanted) override;
  void end_lease(const IkeSa& sa) override;

  Parts parts_;
  Limits limits_;
  Cookies cookies_;
  // Whoever makes IKE messages up is answered by one, and takes nothing from who sends with an SPI of ours.
  UnprotectedBudget for_stray_ike_{{}};
  UnprotectedBudget for_stray_esp_{{}};
  std::uint64_t tokens_sent_ = 0;
  std::uint64_t tokens_withheld_ = 0;
  Actions actions_;
  bool is_stopping_ = false;
  SaId next_id_ = 1;
  std::map<std::string, Record> records_;                                  // by connection
  std::unordered_map<net::Address, std::vector<ConnectionHandle>> peers_;  // by remote address
  std::vector<ConnectionHandle> any_peer_;
  struct Entry {
    std::unique_ptr<IkeSa> sa;
    bool end_seen = false;
  };
  std::map<SaId, Entry> sas_;                            // by age
  std::unordered_map<std::uint64_t, SaId> by_spi_;       // ours
  std::map<std::string, std::set<SaId>> by_connection_;  // those that began, or have proved who they are
  PeerSas by_peer_;                                      // those that have proved it
  std::map<std::string, Leases> leases_;                 // by connection
  HalfOpen half_open_;
  Refusals refusals_;
  std::unordered_map<std::uint32_t, SaId> children_;  // who has an inbound SPI
  std::unordered_map<std::string, std::uint32_t> outbound_;
  std::unordered_set<SaId> beginning_;  // ours whose work waits
  Time stranger_minute_ = Time::min();
  unsigned stranger_lines_ = 0;  // in it
  std::set<SaId> touched_;       // by the event at hand
  Deadlines deadlines_;
  bool begins_next_ = true;  // and not one that is due
  std::set<std::pair<Time, std::string>> retries_;
};

}  // namespace espgate::ike
