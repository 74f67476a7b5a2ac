// All policies in the order they are searched, as they stand in the sink: the manager's memory of them. It
// keeps that order through reloads with as few changes as possible, takes single policies in and out in
// between, and knows which outbound SAs a policy still names, and so which may not be freed.
//
// A policy's order is its priority, whether it catches all, and a position. Positions are far apart, so that
// a policy that comes in between others gets one without moving them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/sa/surroundings.hpp"

namespace espgate::sa {

// What makes a policy the same one on the next reload. One connection protects a selector, one catches all of
// it, and the file's own list has it once.
struct PolicyKey {
  std::string owner;  // the connection's name; empty: of the file's own list
  std::uint16_t priority = 0;
  net::TrafficSelector selector;
  // Searched behind all others of its priority: what a connection with peers at any address wants protected,
  // as long as no peer of it has policies of its own for that.
  bool catches_all = false;

  bool protects() const { return !owner.empty(); }
  bool operator==(const PolicyKey&) const = default;
};

struct Policy {
  PolicyKey key;
  unsigned line = 0;  // in the configuration file; 0: it came by `add`
  std::string comment;
  std::uint64_t order = 0;
  std::optional<std::uint32_t> rule;  // in the sink, once it is there
  policy::Decision decision;          // meaningful then
  bool wanted = true;
};

class PolicyBook {
 public:
  // Called every few policies by what goes through all of them, and may take its time.
  using Pause = std::function<void()>;
  // An outbound SA, by store index, that no policy names any more.
  using Unreferenced = std::function<void(std::uint32_t outbound_sa)>;

  struct Wanted {
    PolicyKey key;
    unsigned line = 0;
    std::string comment;
  };

  // `sink` outlives the book; `outbound_limit` is the store's.
  PolicyBook(PolicySink& sink, std::uint32_t outbound_limit, Unreferenced unreferenced);

  // Gives each of `wanted`, no two with one selector of one connection or of the list, its policy, in the
  // same order; of two with one priority the first is searched first. Those that are new are not in the sink
  // yet, and those that nobody wants any more stay there until remove_unwanted. Policies live until then.
  std::vector<Policy*> arrange(const std::vector<Wanted>& wanted, const Pause& pause);
  // One more, which find() does not know yet, behind all of its priority. In the sink on return; it lives
  // until it is removed, or an `arrange` does not want it. On error nothing has changed.
  Expected<Policy*> add(const Wanted& wanted, policy::Decision decision);
  // Out of the sink, and gone.
  void remove(const Policy& policy);
  // Puts it into the sink, or changes its decision there. On error everything is as before, but that the sink
  // drops what the policy would not let pass, from the next tell_refused on.
  Expected<void> set(Policy& policy, policy::Decision decision);
  // Tells the sink of what changed in what it refused. Cheap while nothing has.
  void tell_refused();
  void remove_unwanted(const Pause& pause);

  std::uint32_t references(std::uint32_t outbound_sa) const { return references_[outbound_sa]; }
  const std::map<std::uint64_t, Policy>& policies() const { return policies_; }  // by order
  // The policy for just that selector, of a connection's or of the list; nullptr when there is none.
  Policy* find(bool protects, const net::TrafficSelector& selector, bool catches_all = false) const;
  // nullptr when there is none.
  const Policy* of_rule(std::uint32_t rule) const;

 private:
  struct Known {
    bool protects;
    net::TrafficSelector selector;
    bool catches_all;
    bool operator==(const Known&) const = default;
  };
  struct KnownHash {
    std::size_t operator()(const Known& known) const noexcept;
  };
  using Level = std::uint32_t;               // a priority, and whether all is caught
  using AtLevel = std::vector<std::size_t>;  // indices of what is wanted

  static Level level_of(const PolicyKey& key);
  static Known known_by(const PolicyKey& key) { return {key.protects(), key.selector, key.catches_all}; }
  void arrange_level(Level level, const AtLevel& at, const std::vector<Wanted>& wanted,
                     std::vector<Policy*>& result, const Pause& pause);
  std::optional<std::uint64_t> order_after(std::uint64_t order, std::size_t count) const;
  std::uint64_t free_stretch(Level level, std::size_t count) const;
  Policy* create(const Wanted& wanted, std::uint64_t order);
  void note_refused(const Policy& policy, policy::Decision decision);
  void take_out(const Policy& policy);
  void drop_reference(policy::Decision decision);

  PolicySink& sink_;
  Unreferenced unreferenced_;
  std::map<std::uint64_t, Policy> policies_;
  std::unordered_map<Known, Policy*, KnownHash> known_;  // those that are wanted
  std::unordered_map<std::uint32_t, Policy*> by_rule_;
  std::vector<std::uint32_t> references_;  // by outbound SA
  bool unsettled_ = false;                 // a search may be under way that began before what came last
  std::map<std::uint64_t, policy::Decision> refused_;  // by order: what must not pass, and is not in the sink
  bool refused_changed_ = false;                       // since the sink was told
};

}  // namespace espgate::sa
