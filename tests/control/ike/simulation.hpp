// Two real cores, or more, that talk to each other over a network that loses, repeats, reorders and delays,
// in virtual time. Everything follows from the seed. What must never happen is checked at every step;
// `problem` says the first thing that did.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>

#include "control/ike/core.hpp"

namespace espgate::ike::test {

using namespace std::chrono_literals;

struct Faults {
  double loss = 0;
  double repeat = 0;
  Time shortest = 5ms;
  Time longest = 5ms;  // another delay for each datagram reorders them
  double work_refused = 0;
  Time longest_work = 2ms;
};

class Simulation;

// A gateway: a core, and a datapath that knows which SAs there are and sends on them.
class Node {
 public:
  Node(Simulation& world, ConnectionHandle connection, Limits limits);

  void handle(const Event& event);
  void carry_out(Actions actions);
  // Everything is forgotten, as by a crash.
  void restart();
  void configure(ConnectionHandle connection);
  // Its clock, and nobody else's, is so much later at once, and all its timers with it.
  void jump(Time by) { ahead_ += by; }
  // Of its core, by the simulation's clock.
  Time deadline() const { return core_->deadline() == never ? never : core_->deadline() - ahead_; }
  // A packet of each child goes out.
  void send_traffic();
  void packet_arrived(const ChildSaParameters& sent);

  IkeCore& core() { return *core_; }
  const Connection& connection() const { return *connection_; }
  const net::Address& address() const { return *connection_->local; }
  std::vector<const IkeSa*> established() const;
  std::size_t children() const;
  std::size_t reserved() const { return larval_.size(); }  // SPIs of children that are not made yet
  const std::map<std::uint32_t, ChildSaParameters>& inbound() const { return inbound_; }
  const OwnChild& owner_of(std::uint32_t inbound_spi) const { return owners_.at(inbound_spi); }
  // By child; of a connection that has several peers by child and peer: "net/a.example".
  const std::map<std::string, ChildSaParameters>& outbound() const { return outbound_; }

  std::size_t received = 0;
  std::size_t missed = 0;  // packets of SPIs that are not there
  std::size_t astray = 0;  // packets from or to where nobody is
  std::size_t unsent = 0;  // for want of an outbound SA, though there was one before
  std::size_t installed = 0;
  std::size_t moves = 0;             // of children to another address
  bool wants_keys = false;           // of IKE SAs that end
  std::deque<KeysEnded> keys_ended;  // those
  std::multiset<std::string> assigned;
  std::vector<AttemptFailed> failed;
  std::vector<std::string> log;  // without steps

 private:
  friend class Simulation;
  void on(const SendDatagram& action);
  void on(const RunWork& action);
  void on(const InstallInbound& action);
  void on(const OwnChild& action) { owners_[action.inbound_spi] = action; }
  void on(const InstallOutbound& action);
  void on(const RetireInbound& action);
  void on(const RetireOutbound& action);
  void on(const MoveChild&) { ++moves; }
  void on(const KeepNatMapping&) {}
  void on(const TakeAddresses& action);
  void on(const DropAddresses& action);
  void on(const KeysEnded& action) { keys_ended.push_back(action); }
  void on(const AttemptFailed& action) { failed.push_back(action); }
  void on(const LogLine& action);

  Simulation& world_;
  ConnectionHandle connection_;
  Limits limits_;
  std::unique_ptr<IkeCore> core_;
  unsigned life_ = 0;
  Time ahead_{};  // of the simulation's clock
  std::map<std::uint32_t, ChildSaParameters> inbound_;
  std::map<std::uint32_t, Time> lingering_;
  std::map<std::string, ChildSaParameters> outbound_;
  std::set<std::uint32_t> spis_;  // ever given out
  void repair(const ChildSaParameters& sent);
  std::map<std::uint32_t, Time> retired_;
  std::set<std::uint32_t> larval_;
  Time not_repaired_before_{};
  std::map<std::uint32_t, OwnChild> owners_;  // of each, as a file knows them that outlives a crash
};

class Simulation {
 public:
  Simulation(unsigned seed, ConnectionHandle a, ConnectionHandle b, const Limits& limits = {});

  Time now() const { return now_; }
  void run_for(Time duration);
  // Until `condition` holds, at most so long; whether it does.
  bool run_until(const std::function<bool()>& condition, Time longest);
  // a begins; whether both are well in time, and nothing was wrong on the way.
  bool comes_up(Time longest = 10s);
  void at(Time when, std::function<void()> what);
  void after(Time wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }
  void send_traffic_every(Time interval) {
    traffic_every_ = interval;
    next_traffic_ = now_;
  }
  // One tunnel is up, on both sides alike, and packets pass both ways.
  bool is_well();
  // Each side sends this child's traffic by what the other takes.
  bool is_well_for(const std::string& child);
  std::string state();

  bool chance(double probability) { return std::uniform_real_distribution<>(0, 1)(random) < probability; }
  Time between(Time least, Time most);
  void fail(std::string what);
  Node& node_at(const Endpoint& endpoint);
  // One more, whose connection has an address of its own.
  Node& add(ConnectionHandle connection);
  std::vector<Node*> nodes();

  Node a;
  Node b;
  Faults faults;
  std::mt19937 random;
  std::string problem;
  std::size_t datagrams = 0;
  std::set<net::Address> gone;  // nothing comes from there, or gets there
  bool repairs = false;         // packets with SPIs of nobody's are told to the core, once a second
  // Asked for each datagram; false: it is lost.
  std::function<bool(const SendDatagram&)> passes;
  // Asked for each piece of work; false: whoever asked does it, and says WorkFinished.
  std::function<bool(Node&, const RunWork&)> works;
  // Keys that were ever used to send.
  std::set<std::vector<std::uint8_t>> used_keys;

 private:
  friend class Node;
  std::vector<std::unique_ptr<Node>> more_;
  struct Planned {
    Time when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator>(const Planned& other) const {
      return std::tie(when, order) > std::tie(other.when, other.order);
    }
  };
  bool step(Time until);

  Time now_ = 0s;
  std::uint64_t next_order_ = 0;
  std::priority_queue<Planned, std::vector<Planned>, std::greater<>> planned_;
  Time traffic_every_ = never;
  Time next_traffic_ = never;
};

// Connections of the two sides: "a" and "b", the same key, one child "net" of x25519 and AES-GCM.
Connection connection_of_a();
Connection connection_of_b();
ConnectionHandle handle(Connection connection);
std::shared_ptr<const Authenticator> shared_key(std::string_view key);
Identity fqdn(std::string_view name);
SelectorSide side(std::string_view range);

}  // namespace espgate::ike::test
