// Who has begun with us and has not proved yet who it is: bounded in all and for each source, and counted
// until nothing is left of it (RFC 7296 2.6). A source that many speak for, or somebody in its name, is asked
// for a COOKIE early, and who shows one is counted apart: nobody else can use up its share. One owner.
#pragma once

#include <map>
#include <unordered_map>

#include "control/ike/endpoint.hpp"
#include "control/ike/events.hpp"
#include "control/ike/sa_host.hpp"

namespace espgate::ike {

class HalfOpen {
 public:
  // What its IKE_SA_INIT came with.
  struct Key {
    std::uint64_t initiator_spi;
    Endpoint peer;
    auto operator<=>(const Key&) const = default;
  };
  // Refused is who comes when all together have as many as they may, or its source has.
  enum class Decision : std::uint8_t { let_in, ask_for_cookie, all_full, source_full };

  explicit HalfOpen(const Limits& limits) : limits_(limits) {
    entries_.reserve(limits.half_open);
    sources_.reserve(limits.half_open);
  }

  // About one more. A peer that showed a COOKIE receives what is sent to its address.
  Decision decide(const net::Address& peer, bool showed_cookie) const;
  void add(const Key& key, SaId sa, bool showed_cookie);
  // It proved who it is, or nothing is left of it. Nothing happens if it is not here.
  void remove(SaId sa);
  SaId find(const Key& key) const;  // 0: there is none
  std::size_t size() const { return by_key_.size(); }
  const std::map<Key, SaId>& all() const { return by_key_; }

 private:
  struct Entry {
    Key key;
    bool showed_cookie;
  };
  // Of an IPv4 address or an IPv6 /64.
  struct Source {
    std::size_t with_cookie = 0;
    std::size_t without = 0;
  };

  Limits limits_;
  std::map<Key, SaId> by_key_;
  std::unordered_map<SaId, Entry> entries_;
  std::unordered_map<net::Address, Source> sources_;
};

}  // namespace espgate::ike
