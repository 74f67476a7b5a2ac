// What is most likely wrong with a connection: a pure function of what is known of it.
//
// Each piece of evidence speaks for one cause, with a weight from 0 to 100 (control/recovery/signs.hpp): how
// sure one would be of it if nothing else were known. Pieces for one cause add up as independent ones do, 1 -
// (1 - a)(1 - b), so that several weak ones come near a strong one and none passes 100. What speaks for
// trouble that is over, since the connection carries traffic again, or did after it, counts less.
//
// Non-goals: collecting (control/daemon/diagnosis_facts.hpp), and why a negotiation failed word by word,
// which `explain` tells.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/recovery/classify.hpp"

namespace espgate::recovery {

enum class Cause : std::uint8_t {
  well,
  waiting,        // for traffic or for the peer, as configured
  terminated,     // by an operator
  configuration,  // the two sides want different things
  peer_down,      // nobody is there
  firewall,       // something on the way lets IKE or ESP not through
  one_way,        // we send, and nothing comes in, as it may be meant
  nat,            // a NAT on the way changes its mind, or the peer moves
  loss,           // packets are lost or overtake each other
  peer_restart,
  our_restart,
  port_down,
  address,     // the local address is no address of this host
  routing,     // no way to the peer, or packets come where they do not belong
  expired,     // a lifetime is over
  room,        // something of this gateway's is used up
  peers_room,  // or of the peer's
  fault,       // something is wrong in this gateway
};
inline constexpr std::size_t cause_count = 18;
std::string_view name(Cause cause);  // "configuration mismatch"

// Seconds since something happened; none: it did not, as far as is remembered.
using Age = std::optional<double>;

struct Facts {
  enum class State : std::uint8_t { up, connecting, down };
  State state = State::up;
  std::string reason;  // why it is not up, or what is amiss if it is
  bool negotiates = true;
  std::string peer;  // its address, for texts
  bool is_terminated = false;
  bool has_expired = false;  // a manual key

  // -- the way to the peer --
  enum class Way : std::uint8_t { unknown, good, no_route, blackhole, no_neighbour, port_down };
  bool has_local_address = true;
  Way way = Way::unknown;
  std::string way_by;       // the port, or who does not answer as a neighbour
  bool is_on_link = false;  // that one is the peer itself

  // -- IKE: as far as it is at the moment, or else came the last time --
  enum class Ike : std::uint8_t { none, greeting, proving, established };
  Ike ike = Ike::none;
  enum class Trouble : std::uint8_t {  // with it, which `reason` tells
    none,
    unanswered,     // nothing came back there
    refused,        // by either side
    no_room,        // for want of something of ours
    no_room_there,  // the peer takes no more of it
    fault,          // ours
  };
  Trouble trouble = Trouble::none;
  std::uint64_t requests = 0;  // of ours on the IKE SA at hand, and how often one was sent again
  std::uint64_t repeats = 0;
  unsigned tries = 0;  // of the one that waits for its answer; 0: none does
  Age heard;           // anything protected by IKE

  // -- traffic, of the SAs that are in use; `ever`: and of all before them --
  struct Traffic {
    std::uint64_t packets = 0;
    std::uint64_t ever = 0;
    Age last;
  };
  Traffic in, out;
  std::uint64_t beside = 0;  // packets in, by other child SAs of the same IKE SA
  std::uint64_t nearby = 0;  // and by other connections with the peer, plain or in UDP as this one
  Age up;                    // how long
  bool in_udp = false;
  std::uint64_t top_sequence = 0;  // the highest number that came in, where numbers began with 1; 0: unknown
  std::uint64_t arrived = 0;       // packets that came in for the SA, good or not
  std::uint64_t replayed = 0, late = 0, bad_icv = 0, mismatched = 0, outside_selectors = 0;

  // -- lately --
  std::array<std::uint64_t, class_count>
      invalid{};                    // packets with SPIs of nobody's, within RecentCount::window
  Age invalid_last;                 // the last of them
  std::uint64_t without_ipsec = 0;  // as long: ESP of anybody's, by a port where ipsec is off
  unsigned moves = 0;               // of the peer, since the connection is configured
  Age moved;
  unsigned peer_restarts = 0;
  Age peer_restarted;
  double our_age_s = 0;     // of this process
  bool was_before = false;  // it had SAs in a process before
};

struct Finding {
  Cause cause = Cause::well;
  unsigned weight = 0;                // 1 to 100
  std::vector<std::string> evidence;  // the heaviest first
  std::string remedy;
};

// The heaviest first; never empty. The first is Cause::well where nothing weighs more.
std::vector<Finding> diagnose(const Facts& facts);

}  // namespace espgate::recovery
