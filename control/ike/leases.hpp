// The addresses that a connection's peers were given (RFC 7296 3.15): each to one peer at a time, and to the
// same one again. One owner.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/ike/configuration.hpp"
#include "datapath/net/address.hpp"

namespace espgate::ike {

class Leases {
 public:
  // For one more IKE SA of that peer: one address of each family that it wants and that is in `pools`. Of a
  // network the first address, and with IPv4 the last, are no host's. A family of which none is free is left
  // out. Where a peer's search begins depends on its name, so it mostly finds what it had the last time.
  std::vector<net::Address> take(const std::vector<net::Prefix>& pools, const std::string& peer,
                                 const AddressesWanted& wanted);
  // One IKE SA less.
  void release(const std::string& peer);
  bool empty() const { return peers_.empty(); }

 private:
  struct Peer {
    std::vector<net::Address> addresses;
    unsigned ike_sas = 0;
  };
  void take_one(const net::Prefix& pool, const std::string& name, Peer& peer);

  std::map<std::string, Peer> peers_;
  std::set<net::Address> taken_;
};

}  // namespace espgate::ike
