#include "control/recovery/classify.hpp"

#include <array>

namespace espgate::recovery {
namespace {

using enum Class;
using Standing = sa::SpiFacts::Standing;

// The standings, with retired told apart by reason.
enum Column : std::size_t { unknown, is_larval, is_active, was_deleted, was_expired, was_rekeyed, columns };

// [what the worker saw][known peer][what control knows]
constexpr std::array<std::array<std::array<Class, columns>, 2>, 3> table{{
    // not found
    {{{stranger, larval, larval, deleted, expired, just_rekeyed},
      {never_issued, larval, larval, deleted, expired, just_rekeyed}}},
    // larval; unknown since: the reservation was withdrawn
    {{{deleted, larval, larval, deleted, expired, just_rekeyed},
      {deleted, larval, larval, deleted, expired, just_rekeyed}}},
    // retired; unknown since: the tombstone is gone and its story too. Active since: the SPI is in use again.
    {{{deleted, larval, larval, deleted, expired, just_rekeyed},
      {deleted, larval, larval, deleted, expired, just_rekeyed}}},
}};

Column column(const Evidence& evidence) {
  switch (evidence.standing) {
    case Standing::unknown:
      return unknown;
    case Standing::larval:
      return is_larval;
    case Standing::active:
      return is_active;
    case Standing::retired:
      break;
  }
  switch (evidence.reason) {
    case sa::Reason::deleted:
      return was_deleted;
    case sa::Reason::expired:
      return was_expired;
    case sa::Reason::rekeyed:
      return was_rekeyed;
  }
  return unknown;
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
    {"never issued", "compare the peer's outbound SPI with the inbound SPI of the connection here"},
    {"stranger", "no connection has this remote address; add one, or block the sender if it should not be"},
}};

}  // namespace

Class classify(const Evidence& evidence) {
  return table[static_cast<std::size_t>(evidence.miss)][evidence.known_peer][column(evidence)];
}

std::string_view name(Class kind) {
  return words[static_cast<std::size_t>(kind)].name;
}
std::string_view remedy(Class kind) {
  return words[static_cast<std::size_t>(kind)].remedy;
}

}  // namespace espgate::recovery
