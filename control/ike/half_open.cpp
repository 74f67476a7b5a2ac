#include "control/ike/half_open.hpp"

#include <algorithm>

namespace espgate::ike {
namespace {

// Of what one source may have, the part that needs no COOKIE.
constexpr std::size_t cookieless_part = 10;

// A source that one attacker can have many addresses of: an IPv4 address, or an IPv6 /64.
net::Address source_of(net::Address address) {
  if (address.family == net::Family::v6) std::fill(address.bytes.begin() + 8, address.bytes.end(), 0);
  return address;
}

}  // namespace

HalfOpen::Decision HalfOpen::decide(const net::Address& peer, bool showed_cookie) const {
  if (size() >= limits_.half_open) return Decision::all_full;
  const auto known = sources_.find(source_of(peer));
  const auto source = known == sources_.end() ? Source() : known->second;
  if (showed_cookie)
    return source.with_cookie < limits_.half_open_per_source ? Decision::let_in : Decision::source_full;
  const auto without = std::max<std::size_t>(1, limits_.half_open_per_source / cookieless_part);
  return size() < limits_.half_open_cookies && source.without < without ? Decision::let_in
                                                                        : Decision::ask_for_cookie;
}

void HalfOpen::add(const Key& key, SaId sa, bool showed_cookie) {
  by_key_.emplace(key, sa);
  entries_.emplace(sa, Entry{key, showed_cookie});
  auto& source = sources_[source_of(key.peer.address)];
  ++(showed_cookie ? source.with_cookie : source.without);
}

void HalfOpen::remove(SaId sa) {
  const auto entry = entries_.find(sa);
  if (entry == entries_.end()) return;
  const auto source = sources_.find(source_of(entry->second.key.peer.address));
  --(entry->second.showed_cookie ? source->second.with_cookie : source->second.without);
  if (source->second.with_cookie + source->second.without == 0) sources_.erase(source);
  by_key_.erase(entry->second.key);
  entries_.erase(entry);
}

SaId HalfOpen::find(const Key& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? 0 : found->second;
}

}  // namespace espgate::ike
