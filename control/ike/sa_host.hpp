// What an IKE SA needs from the core that it lives in: numbers, chance, the other IKE SAs, and somebody to
// take its actions. Calls come from within an event of the SA.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "control/ike/child_sa.hpp"
#include "control/ike/configuration.hpp"
#include "control/ike/connection.hpp"
#include "control/ike/crash_tokens.hpp"
#include "control/ike/events.hpp"

namespace espgate::ike {

class IkeSa;

// What a peer can have us write a line about as often as it likes.
enum class Complaint : std::uint8_t {
  unreadable_request,
  ike_rekey_refused,
  child_refused,
  child_has_an_sa,
  others_addresses,
  lost_spi,
  moves,
  unproven_place,
  count,
};

struct Limits {
  std::size_t ike_sas = 20'000;
  // Of one connection with one peer, those that were replaced or are gone included; then the oldest go.
  std::size_t ike_sas_per_peer = 16;
  std::size_t half_open = 10'000;         // as responder, not yet authenticated; beyond that none is let in
  std::size_t half_open_cookies = 1'000;  // from there on who comes must show a COOKIE
  // Of one IPv4 address or IPv6 /64, by who showed a COOKIE; from a tenth of that on it must be shown.
  std::size_t half_open_per_source = 50;
  std::size_t children_per_ike_sa = most_children;  // but for those that replace others
  // Of a message that comes in parts, from who is authenticated and from who is not yet.
  std::size_t message_bytes = 65'535;
  std::size_t strangers_message_bytes = 24'576;
  std::size_t greeting_bytes = 4'096;  // of an IKE_SA_INIT request: several offers and the largest value
  // About messages of strangers; what is beyond goes unsaid.
  unsigned stranger_lines_per_minute = 60;
  // How many of those that we begin have public-key work waiting before others begin: after a start all are
  // due at once.
  std::size_t beginning = 256;
  Time half_open_life = std::chrono::seconds(30);
  // How long the peer's next additional key exchange is waited for (RFC 9370 2.2.4: 5 to 20 seconds).
  Time followup_wait = std::chrono::seconds(20);
  // How much later than it was told to the peer may prove again who it is (RFC 4478).
  Time proof_grace = std::chrono::seconds(30);
  // How long an IKE SA that is gone still answers what it answered last, and one whose peer never proved who
  // it is: that one counts as half-open for so long.
  Time linger = std::chrono::seconds(30);
  Time linger_of_strangers = std::chrono::seconds(5);
  // After TEMPORARY_FAILURE, a child that was refused, a connection that failed: twice as long each time.
  Time retry_first = std::chrono::seconds(2);
  Time retry_longest = std::chrono::seconds(120);
};

class SaHost {
 public:
  virtual ~SaHost() = default;

  virtual const Limits& limits() const = 0;
  virtual void act(Action action) = 0;
  // What is to be written of it now, if anything is: of each peer a few of each kind a minute, and how many
  // were left out.
  virtual std::optional<std::string> limited(const IkeSa& sa, Complaint about, const std::string& text,
                                             Time now) = 0;
  // Whether anybody follows the steps, which are log lines of level debug: else they need no words.
  virtual bool wants_steps() const = 0;
  // Whether somebody reads recorded messages, and is told the keys of what ends.
  virtual bool wants_keys() const = 0;
  virtual void fill_random(std::span<std::uint8_t> bytes) = 0;
  // By which the peer can be told that we have lost this IKE SA, which has our SPI `ours`; none: it cannot.
  virtual std::optional<CrashTokens::Token> crash_token(const Spis& spis, std::uint64_t ours) const = 0;
  // The peer has lost it, and all its children, which are to be made anew.
  virtual void lost_by_peer(const IkeSa& sa, Time now) = 0;
  // One that no IKE SA has; it is the caller's.
  virtual std::uint64_t new_ike_spi() = 0;
  // Reserved for the child, so that packets with it are no stranger's. None: there is none to be had.
  virtual std::optional<std::uint32_t> new_child_spi(const ChildConfiguration& child) = 0;

  // Connections that a peer at `remote` may be of, the most specific first.
  virtual std::vector<ConnectionHandle> candidates(const Endpoint& local, const Endpoint& remote) const = 0;
  // Of its connection's own addresses, the preferred one first; none: that was not said.
  virtual std::vector<net::Address> usable_locals(const IkeSa& sa) const = 0;
  // Null: gone.
  virtual IkeSa* find(SaId sa) = 0;
  // A successor that `of` has made; it lives in the core from here on.
  virtual IkeSa& adopt(std::unique_ptr<IkeSa> sa) = 0;
  virtual SaId new_sa_id() = 0;
  // Whether the peer of `sa` may have another beside it; of those that are gone the oldest are dropped for
  // it.
  virtual bool has_room_beside(const IkeSa& sa, Time now) = 0;

  // The peer is who it says.
  virtual void established(IkeSa& sa, Time now) = 0;
  // Begins anew beside `sa`, which goes once the new one has all its children.
  virtual void reauthenticate(const IkeSa& sa, Time now) = 0;
  // Both sides began at once, and it is the other of the two that goes on.
  virtual bool is_redundant(const IkeSa& sa) const = 0;
  // The peer has no other IKE SA with us than this one (RFC 7296 2.4).
  virtual void initial_contact(const IkeSa& sa, Time now) = 0;
  // Nothing else is there with its peer: it may say INITIAL_CONTACT.
  virtual bool is_first_contact(const IkeSa& sa) const = 0;
  // From here on `sa` hears what happens to the child.
  virtual void own_child(const Child& child, const IkeSa& sa) = 0;
  virtual void disown_child(std::uint32_t inbound_spi) = 0;
  // The outbound SPI that a child's traffic goes out by, whichever IKE SA it belongs to; 0: none.
  virtual std::uint32_t current_outbound(const std::string& key) const = 0;
  virtual void set_current_outbound(const std::string& key, std::uint32_t spi) = 0;
  // Whether some IKE SA of that connection and peer has another child for what just lost its outbound SA.
  virtual bool other_takes_over(const IkeSa& sa, const std::string& key, Time now) = 0;
  // Whether another peer of the connection has some of these addresses by that child.
  virtual bool has_other_peer(const IkeSa& sa, const std::string& child,
                              const std::vector<SelectorSide>& sides) const = 0;
  // Addresses of the connection's for the peer, one of each family that it wants as far as there are any. If
  // there are some, they are its until end_lease.
  virtual std::vector<net::Address> lease(const IkeSa& sa, const AddressesWanted& wanted) = 0;
  virtual void end_lease(const IkeSa& sa) = 0;
};

// From 0 to 1, by chance.
double random_unit(SaHost& host);
std::vector<std::uint8_t> random_bytes(SaHost& host, std::size_t count);
Nonce new_nonce(SaHost& host);  // half the key size of any of our PRFs at least (RFC 7296 2.10)
// The n-th wait (from 0) of a series that doubles, within a tenth.
Time retry_wait(SaHost& host, unsigned nth);

}  // namespace espgate::ike
