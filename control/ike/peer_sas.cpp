#include "control/ike/peer_sas.hpp"

namespace espgate::ike {

std::string PeerSas::key_of(const IkeSa& sa) {
  const auto& peer = sa.peer_identity();
  if (!peer) return sa.connection()->name;
  return key_with(sa.connection()->name, *peer);
}

void PeerSas::remove(const IkeSa& sa) {
  const auto found = sas_.find(key_of(sa));
  if (found == sas_.end()) return;
  found->second.ids.erase(sa.id());
  if (found->second.ids.empty()) sas_.erase(found);
}

std::vector<SaId> PeerSas::beside(const IkeSa& sa) const {
  const auto found = sas_.find(key_of(sa));
  if (found == sas_.end()) return {};
  const auto& ids = found->second.ids;
  return {ids.begin(), ids.end()};
}

std::size_t PeerSas::count(const IkeSa& sa) const {
  const auto found = sas_.find(key_of(sa));
  return found == sas_.end() ? 0 : found->second.ids.size();
}

PeerSas::Lines* PeerSas::lines(const IkeSa& sa) {
  const auto found = sas_.find(key_of(sa));
  return found == sas_.end() ? nullptr : &found->second.lines;
}

}  // namespace espgate::ike
