#include "control/recovery/classify.hpp"

#include <array>

namespace espgate::recovery {
namespace {

using enum Class;
using Standing = sa::SpiFacts::Standing;

Class of_retired(sa::Reason reason) {
  switch (reason) {
    case sa::Reason::deleted:
      return deleted;
    case sa::Reason::expired:
      return expired;
    case sa::Reason::rekeyed:
      return just_rekeyed;
  }
  return deleted;
}

// Of what nothing is known now. When the worker knew it a moment ago, it was withdrawn, or the last of it was
// forgotten.
Class of_unknown(const Evidence& evidence) {
  if (evidence.miss != sa::Miss::not_found) return deleted;
  if (evidence.flood) return flood;
  return evidence.known_peer ? never_issued : stranger;
}

// Of what has an SA in use. When the worker had not found it usable, it was not in place yet.
Class of_active(const Evidence& evidence) {
  if (evidence.miss != sa::Miss::mismatch) return larval;
  if (evidence.other_destination) return wrong_destination;
  return evidence.flood ? flood : peer_moved;
}

struct Words {
  std::string_view name;
  std::string_view remedy;
};

constexpr std::array<Words, class_count> words{{
    {"larval", "if it lasts, find out why the SA of this SPI is not installed"},
    {"just rekeyed", "the peer did not follow the rekey; rekey or reload the connection there"},
    {"deleted", "the peer did not hear of the deletion; delete its SA or reload the connection there"},
    {"expired", "the peer keeps an SA past its lifetime; rekey or reload the connection there"},
    {"before restart",
     "the peer did not hear that espgate started anew; rekey or reload the connection there"},
    {"never issued", "compare the peer's outbound SPI with the inbound SPI of the connection here"},
    {"peer moved",
     "its SA is for another address, port or encapsulation of the peer: a NAT on the way chose anew, or the "
     "peer moved; set follow-peer = true, or correct the addresses"},
    {"wrong destination",
     "it is not meant for here: find the route or NAT that sends our own packets back or to another address "
     "of ours; with manual keys, one side's inbound SPI is the other's outbound SPI"},
    {"stranger", "no connection has this remote address; add one, or block the sender if it should not be"},
    {"flood", "someone makes packets up: find where they come in, and filter them there"},
}};

}  // namespace

Class classify(const Evidence& evidence) {
  switch (evidence.standing) {
    case Standing::unknown:
      return of_unknown(evidence);
    case Standing::larval:
      return larval;
    case Standing::active:
      return of_active(evidence);
    case Standing::retired:
      return of_retired(evidence.reason);
    case Standing::before_restart:
      return before_restart;
    case Standing::outbound:
      return wrong_destination;
  }
  return stranger;
}

std::string_view name(Class kind) {
  return words[static_cast<std::size_t>(kind)].name;
}
std::string_view remedy(Class kind) {
  return words[static_cast<std::size_t>(kind)].remedy;
}

}  // namespace espgate::recovery
