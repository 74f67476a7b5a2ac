// IKE SAs by who is at the other end: of one connection, with one identity. One owner.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

class PeerSas {
 public:
  void reserve(std::size_t sas) { sas_.reserve(sas); }
  // Once its peer has proved who it is; a second time nothing happens.
  void add(const IkeSa& sa) { sas_[key_of(sa)].insert(sa.id()); }
  void remove(const IkeSa& sa);
  // Those with the peer of `sa`, itself among them if it was added, the oldest first.
  std::vector<SaId> beside(const IkeSa& sa) const;
  std::size_t count(const IkeSa& sa) const;

  // Names connection and identity; of one that has not proved who it is, the connection alone.
  static std::string key_of(const IkeSa& sa);

 private:
  std::unordered_map<std::string, std::set<SaId>> sas_;
};

}  // namespace espgate::ike
