// A child SA as its IKE SA knows it.
//
//                 CREATE_CHILD_SA or IKE_AUTH
//                            |
//                        installed ---- our rekey of it is under way (IkeSa's exchange names it)
//                            |     `--- the peer's was answered (peer_rekey)
//            delete_wanted   |  peer's DELETE
//                  |         |        |
//               closing -----+------> gone
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/ike/connection.hpp"
#include "control/ike/events.hpp"

namespace espgate::ike {

using Nonce = std::vector<std::uint8_t>;

// The peer replaces something by something of its own, while we may be doing so too; the exchange with the
// lowest of the four nonces loses (RFC 7296 2.8.1).
struct PeerRekey {
  std::uint64_t successor = 0;  // a child's inbound SPI, or an IKE SA's id
  Nonce lowest_nonce;
};

struct Child {
  enum class State : std::uint8_t { installed, closing };

  ChildHandle configuration;
  std::uint32_t inbound_spi = 0;  // ours, unique in the process: the child's name here
  std::uint32_t outbound_spi = 0;
  State state = State::installed;
  bool encapsulated = false;
  net::Address our_address{};  // the outer one
  Endpoint peers_place{};
  std::vector<SelectorSide> local;  // what was agreed on; local is ours
  std::vector<SelectorSide> remote;
  bool delete_wanted = false;
  bool make_again = false;  // once it is deleted
  unsigned failures = 0;    // to make it before, and to install it
  bool replaced = false;    // it has a successor, so its inbound SA lingers
  bool lost = false;        // to another that was begun at the same time: who began it deletes it
  std::optional<PeerRekey> peer_rekey;
  // Not yet in use: the peer made this child to replace `predecessor`, and traffic moves when that one is
  // deleted or something good comes in on this one.
  std::optional<ChildSaParameters> outbound_waiting;
  std::uint32_t predecessor = 0;
  // By whom and when it was made, not as another's replacement; for two that were made at once.
  bool we_began = false;
  Nonce lowest_nonce;
  Time made_at{};
  Time rekey_at = never;
  Time expires_at = never;
  unsigned rekey_failures = 0;

  // Its packets are of that form between these two; a peer's place that is in UDP may be any.
  bool is_between(const net::Address& ours, const net::Address& peers, bool in_udp) const {
    return encapsulated == in_udp && our_address == ours && (in_udp || peers_place.address == peers);
  }
};

// What is wanting.
inline constexpr const char* no_spi = "there is no room for another SPI (limits.inbound-sas)";
inline constexpr const char* too_much_work = "too much public-key work is waiting";

// A child to be made, not before a time.
struct WantedChild {
  ChildHandle configuration;
  Time not_before{};
  unsigned failures = 0;
};

}  // namespace espgate::ike
