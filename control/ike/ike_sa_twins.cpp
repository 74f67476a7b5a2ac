// Children of which there are two where one is wanted (RFC 7296 2.8.1). Of two that both sides began at once
// the one with the lowest nonce goes, by who made it; each side comes to know that in its own time, since
// answers may be lost for long. What is there twice for any other reason ends with its lifetime.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/ike_sa.hpp"
#include "control/ike/narrowing.hpp"

namespace espgate::ike {

// It is in place of no other. The peer may have made the same at once.
void IkeSa::use_new_child(std::uint32_t inbound_spi, Time now) {
  constexpr Time at_once = std::chrono::seconds(60);
  auto& made = *find_child(inbound_spi);
  for (auto& other : children_) {
    const bool is_twin = other.configuration->name == made.configuration->name &&
                         other.we_began != made.we_began && !other.delete_wanted && !other.peer_rekey &&
                         other.made_at + at_once > now;
    if (!is_twin) continue;
    auto& lost = made.lowest_nonce < other.lowest_nonce ? made : other;
    lose(lost, now);
    if (&lost == &made) return;
  }
  use_outbound(made);
}

// If we made it we delete it, and else the peer does; should it not, we do.
void IkeSa::lose(Child& child, Time now) {
  child.lost = true;
  child.rekey_at = never;
  if (child.we_began)
    child.delete_wanted = true;
  else
    child.expires_at = std::min(child.expires_at, now + 2 * host_.limits().linger);
}

// What it should have replaced is due again, unless it was replaced in its turn, by `heir`: an exchange of
// ours that lost to it has lost still.
void IkeSa::forget_successor(std::uint32_t inbound_spi, const std::optional<PeerRekey>& heir, Time now) {
  const auto is_its = [&](const std::optional<PeerRekey>& rekey) {
    return rekey && rekey->successor == inbound_spi;
  };
  if (heir && is_its(exchange_.rival)) exchange_.rival->successor = heir->successor;
  for (auto& other : children_) {
    if (!is_its(other.peer_rekey)) continue;
    if (heir) {
      other.peer_rekey->successor = heir->successor;
    } else {
      other.peer_rekey.reset();
      if (other.rekey_at == never) other.rekey_at = now + retry_wait(host_, 0);
    }
  }
}

// All that goes out by it goes by another one of the same, neither of which replaces the other.
bool IkeSa::is_spare(const Child& child) const {
  const auto in_use = host_.current_outbound(key_of(*child.configuration));
  return !child.delete_wanted && std::ranges::any_of(children_, [&](const Child& other) {
    return other.outbound_spi == in_use && other.inbound_spi != child.inbound_spi && !other.delete_wanted &&
           !other.lost && other.configuration->name == child.configuration->name &&
           other.predecessor != child.inbound_spi && child.predecessor != other.inbound_spi &&
           is_within({child.local}, other.local) && is_within({child.remote}, other.remote);
  });
}

// Instead of being rekeyed. Each side may send by another one, so only who began the IKE SA does it; with the
// other a spare waits for that until its lifetime is over.
void IkeSa::let_spares_go(Time now) {
  for (auto& child : children_) {
    if (child.rekey_at > now || !is_spare(child)) continue;
    if (!is_initiator_) {
      child.rekey_at = now + host_.limits().linger;
      continue;
    }
    log(Level::information,
        fmt::format("child {} is there twice: the one that is not sent on goes", child.configuration->name));
    child.rekey_at = never;
    child.delete_wanted = true;
    child.replaced = true;
  }
}

}  // namespace espgate::ike
