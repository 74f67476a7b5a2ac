#include "control/ike/leases.hpp"

#include <algorithm>
#include <functional>

namespace espgate::ike {
namespace {

constexpr int most_host_bits = 32;  // that are made use of

struct Hosts {
  std::uint64_t first;
  std::uint64_t count;
};

Hosts hosts_of(const net::Prefix& pool) {
  const int bits = std::min(pool.address.bits() - pool.length, most_host_bits);
  if (bits < 2) return {0, std::uint64_t{1} << bits};
  const bool has_broadcast = pool.address.family == net::Family::v4;
  return {1, (std::uint64_t{1} << bits) - (has_broadcast ? 2 : 1)};
}

net::Address nth(const net::Prefix& pool, std::uint64_t host) {
  auto address = pool.address;
  for (auto at = static_cast<std::size_t>(address.bits() / 8); host != 0; host >>= 8)
    address.bytes[--at] |= static_cast<std::uint8_t>(host);
  return address;
}

bool has_family(const std::vector<net::Address>& addresses, net::Family family) {
  return std::ranges::find(addresses, family, &net::Address::family) != addresses.end();
}

}  // namespace

std::vector<net::Address> Leases::take(const std::vector<net::Prefix>& pools, const std::string& name,
                                       const AddressesWanted& wanted) {
  const auto wants = [&](net::Family family) { return family == net::Family::v4 ? wanted.v4 : wanted.v6; };
  auto& peer = peers_[name];
  for (const auto& pool : pools)
    if (wants(pool.address.family) && !has_family(peer.addresses, pool.address.family))
      take_one(pool, name, peer);
  std::vector<net::Address> given;
  for (const auto& address : peer.addresses)
    if (wants(address.family)) given.push_back(address);
  if (peer.ike_sas == 0 && given.empty())
    peers_.erase(name);
  else if (!given.empty())
    ++peer.ike_sas;
  return given;
}

void Leases::take_one(const net::Prefix& pool, const std::string& name, Peer& peer) {
  const auto hosts = hosts_of(pool);
  const auto begin = std::hash<std::string>{}(name) % hosts.count;
  // Among one more than are taken there is a free one, if any is.
  const auto looks = std::min<std::uint64_t>(hosts.count, taken_.size() + 1);
  for (std::uint64_t i = 0; i < looks; ++i) {
    const auto address = nth(pool, hosts.first + (begin + i) % hosts.count);
    if (!taken_.insert(address).second) continue;
    peer.addresses.push_back(address);
    return;
  }
}

void Leases::release(const std::string& name) {
  const auto peer = peers_.find(name);
  if (peer == peers_.end() || --peer->second.ike_sas != 0) return;
  for (const auto& address : peer->second.addresses) taken_.erase(address);
  peers_.erase(peer);
}

}  // namespace espgate::ike
