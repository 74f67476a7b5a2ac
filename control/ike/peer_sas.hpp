// IKE SAs by who is at the other end: of one connection, with one identity; and what was written about that
// peer lately. One owner.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/ike/ike_sa.hpp"
#include "datapath/base/log_limiter.hpp"

namespace espgate::ike {

class PeerSas {
 public:
  void reserve(std::size_t sas) { sas_.reserve(sas); }
  // Once its peer has proved who it is; a second time nothing happens.
  void add(const IkeSa& sa) { sas_[key_of(sa)].ids.insert(sa.id()); }
  void remove(const IkeSa& sa);
  // Those with the peer of `sa`, itself among them if it was added, the oldest first.
  std::vector<SaId> beside(const IkeSa& sa) const;
  std::size_t count(const IkeSa& sa) const;
  // About the peer of `sa`, whichever of these that is by, until `add` or `remove`; null: it was not added.
  static constexpr unsigned lines_per_minute = 8;  // of one kind: children have reasons of their own
  using Lines = LogLimiter<Complaint, static_cast<std::size_t>(Complaint::count), lines_per_minute>;
  Lines* lines(const IkeSa& sa);

  // Names connection and identity; of one that has not proved who it is, the connection alone.
  static std::string key_of(const IkeSa& sa);

 private:
  struct Peer {
    std::set<SaId> ids;
    Lines lines;
  };
  std::unordered_map<std::string, Peer> sas_;
};

}  // namespace espgate::ike
