// The Security Policy Database as workers search it (RFC 4301 4.4.1): ordered rules over addresses, protocol
// and ports, of which the first that matches decides.
//
//   tuple  local /24, remote /24 ─┐            key            ┌─► rule ─► rule      (the same key, any ports)
//   tuple  local /0,  remote /16 ─┼─► masked fields ─► SaTable┼─► rule
//   tuple  local /24, remote /24, ┘                           └─► …
//          protocol, remote port
//
// Tuple-space search: rules of one shape are found with one lookup in a cuckoo table, all packets of a burst
// together, and tuples whose best rule comes behind what has been found are passed over. A range of
// addresses that is no prefix lies under the prefix that covers it and is compared in full.
//
// Packets without ports (later fragments) never match a rule that goes by ports; if such a rule would match
// in everything else and comes first, they get Decision::ports_unknown (RFC 4301 7). For rules that are
// found by their port, a marker without ports stands for all those of the same addresses and protocol. IPv6
// fragments that hide even the protocol get it when any rule with one comes first.
//
// One writer, the control thread; readers take no lock and are never stopped. A rule is complete before it
// can be found; one that was removed is used again only when no worker can still be looking at it.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <memory_resource>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/forward/index_pool.hpp"
#include "datapath/policy/decision.hpp"
#include "datapath/policy/rule.hpp"
#include "datapath/policy/stand_in.hpp"
#include "datapath/sa/sa_table.hpp"
#include "datapath/sa/slab.hpp"

namespace espgate::policy {

struct Match {
  std::uint32_t rule = no_rule;
  Decision decision;
};

class Classifier {
 public:
  static constexpr std::size_t most_in_burst = 64;
  static constexpr std::uint32_t most_rules = sa::SaTable::most_entries / 3;
  static constexpr std::uint16_t most_tuples = 2'048;  // shapes of rules, of each family
  // Rules that only differ in ranges are compared one by one.
  static constexpr unsigned most_in_chain = 256;

  // `rules`: at most that many, and most_rules. Takes all memory at once from `memory`, which outlives the
  // classifier.
  static Expected<std::unique_ptr<Classifier>> create(std::uint32_t rules, unsigned workers,
                                                      std::pmr::memory_resource& memory,
                                                      forward::ReaderBarrier barrier);
  static std::size_t memory_bytes(std::uint32_t rules, unsigned workers);

  // -- control thread --
  // Orders are below `never` and different for rules that can match the same packet. Returns the rule's
  // index. Errors, and nothing changed: the limit, too many shapes, too many rules under one key.
  Expected<std::uint32_t> add(const net::TrafficSelector& selector, std::uint64_t order, Decision decision);
  // One store: packets see the old decision or the new one.
  void set(std::uint32_t rule, Decision decision);
  void remove(std::uint32_t rule);
  // Waits until every lookup that began before has ended. A packet that is looked up while one rule comes and
  // then another goes may miss both if they are of different shapes; with this between the two, it does not.
  void settle() const { barrier_(); }
  // What `add` refused and what is to hold all the same, at most most_stand_ins, in place of what it was told
  // before. Lookups see the old ones or the new ones. Waits as settle() does.
  void stand_in(std::span<const StandIn> refused);
  std::size_t size() const { return size_; }
  std::uint64_t hits(std::uint32_t rule) const;  // over all workers, since it was added

  // -- any thread --
  // Looks up some rows, at most most_in_burst and each below that, of flows and matches in one order. Both
  // families together.
  void look_up(const net::Flow* flows, std::span<const std::uint8_t> rows, Match* out) const;
  // Called by one worker for each packet whose fate a rule decided, best some time after will_count.
  void will_count(unsigned worker, std::uint32_t rule) const {
    __builtin_prefetch(&hits_[worker * row_ + rule], 1);
  }
  void count(unsigned worker, std::uint32_t rule) const {
    auto& hits = hits_[worker * row_ + rule];
    hits.store(hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  // The shape of a rule, which names its tuple.
  struct Shape {
    net::Family family;
    std::uint8_t local_bits;
    std::uint8_t remote_bits;
    bool protocol;
    bool local_port;
    bool remote_port;
    auto operator<=>(const Shape&) const = default;
  };
  // A rule's place, worked out before anything is changed.
  struct Place {
    Shape shape;
    net::Flow key;  // the selector's fields in the form of a packet's, to be masked
  };
  struct Marker {
    std::uint32_t rule;
    std::multiset<std::uint64_t> orders;  // of the rules that it stands for
  };

  struct Refused {
    std::uint64_t order;
    net::FlowRanges between;
    net::Family family;
    Decision decision;
  };
  struct RefusedList {
    std::size_t count = 0;
    std::array<Refused, most_stand_ins> rules;
  };

  Classifier(std::uint32_t rules, unsigned workers, std::pmr::memory_resource& memory,
             forward::ReaderBarrier barrier);
  static Place place_of(const net::TrafficSelector& selector);
  static bool is_found_by_port(const Shape& shape) { return shape.local_port || shape.remote_port; }
  Expected<std::uint16_t> tuple_of(const Shape& shape);
  Expected<std::uint32_t> link(const net::TrafficSelector& selector, std::uint64_t order, Decision decision);
  void unlink(std::uint32_t rule);
  void fill(std::uint32_t index, const net::TrafficSelector& selector, const net::Flow& key,
            std::uint16_t tuple);
  void forget_empty_tuples(net::Family family);
  std::uint32_t key_of_rule(const Rule& rule) const;
  void note_protocol(const Rule& rule, bool added);
  unsigned chain_length(std::uint32_t key) const;
  Expected<void> mark(const net::TrafficSelector& selector, std::uint64_t order);
  void unmark(const net::TrafficSelector& selector, std::uint64_t order);

  static void search_refused(const RefusedList& list, const net::Flow* flows,
                             std::span<const std::uint8_t> rows, std::uint64_t* orders, Match* out);
  template <net::Family family>
  void search(const net::Flow* flows, std::span<const std::uint8_t> rows, std::uint64_t* orders,
              Match* out) const;

  // Whose tuples lie where in `tuples_`.
  static std::uint16_t first_tuple(net::Family family) {
    return family == net::Family::v4 ? std::uint16_t{0} : most_tuples;
  }
  static std::size_t which(net::Family family) { return family == net::Family::v4 ? 0 : 1; }

  std::uint32_t limit_;
  unsigned workers_;
  std::uint32_t row_;  // of hits_, and of rules_ with its markers
  sa::SaTable table_;
  sa::FixedArray<Rule> rules_;
  sa::FixedArray<net::FlowRanges> ranges_;
  sa::FixedArray<Tuple> tuples_;
  sa::FixedArray<std::atomic<std::uint64_t>> hits_;  // [worker][rule]

  // Tuples of each family that ever were in use; the empty ones among them cost a look each.
  std::atomic<std::uint16_t> tuples_used_[2]{};
  // Of the IPv6 rules that go by a protocol: only IPv6 fragments can hide theirs.
  std::atomic<std::uint64_t> first_with_protocol_{never};
  std::atomic<const RefusedList*> refused_{nullptr};  // one of the two below, or nothing was refused
  std::array<RefusedList, 2> refused_lists_;

  // The writer's own.
  forward::ReaderBarrier barrier_;
  forward::IndexPool rule_pool_;
  forward::IndexPool tuple_pools_[2];
  std::size_t size_ = 0;
  std::map<Shape, std::uint16_t> tuple_by_shape_;           // with those that are empty and may come back
  std::vector<std::multiset<std::uint64_t>> tuple_orders_;  // by tuple, of its rules
  std::multiset<std::uint64_t> orders_with_protocol_;       // of IPv6 rules
  std::vector<net::TrafficSelector> selectors_;             // by rule
  std::unordered_map<net::TrafficSelector, Marker> markers_;
};

}  // namespace espgate::policy
