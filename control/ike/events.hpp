// What the protocol core is told, and what it wants done. Values: no callbacks, no I/O; whoever runs the core
// feeds it the one and carries out the other in order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "control/ike/endpoint.hpp"
#include "control/ike/identity.hpp"
#include "control/ike/keys.hpp"
#include "control/ike/spis.hpp"
#include "control/ike/urgency.hpp"
#include "datapath/base/secret.hpp"
#include "datapath/crypto/suite.hpp"
#include "datapath/net/traffic_selector.hpp"

namespace espgate::ike {

using SaId = std::uint64_t;  // of an IKE SA within this process; never used again; 0: none

// -- what happens --

// A datagram of UDP port 500, or of 4500 without its non-ESP marker.
struct DatagramReceived {
  Endpoint from;
  Endpoint to;
  std::vector<std::uint8_t> bytes;
};
// The time that the core asked for has come. It sees to a bounded number of what is due; while there is more,
// its deadline stays past.
struct TimerExpired {};
// Work was done, or (`done` is false) refused since too much is waiting.
struct Ticket {
  SaId sa = 0;
  std::uint64_t number = 0;
  bool operator==(const Ticket&) const = default;
};
struct WorkFinished {
  Ticket ticket;
  bool done = true;
};
// Traffic matches a policy, and has no SA. It says so as long as it comes: what was refused lately waits.
struct TrafficWaits {
  std::string connection;
  std::string child;
};
// Of the connection's own addresses those that are there and lead to its peer, the preferred one first. It
// need not be said of a connection that has one only.
struct LocalAddresses {
  std::string connection;
  std::vector<net::Address> usable;
};
// What an operator commands: at once, whatever was refused lately. An empty child: all, and with Rekey the
// IKE SA itself. No peer: each that the connection has.
struct Initiate {
  std::string connection;
  std::string child;
};
struct Terminate {
  std::string connection;
  std::string child;
  std::optional<Identity> peer{};
};
struct Rekey {
  std::string connection;
  std::string child;
  std::optional<Identity> peer{};
};
// The datapath about an SA, by its inbound SPI. A good packet came in on it; the first one must be told,
// others now and then while there is traffic, since they are a sign of life.
struct TrafficArrived {
  std::uint32_t inbound_spi;
};
struct SoftExpired {
  std::uint32_t inbound_spi;
};
struct HardExpired {
  std::uint32_t inbound_spi;
};
// An operator wants that child deleted; another is made if the connection is kept up.
struct SaDeleted {
  std::uint32_t inbound_spi;
};
// Packets come from there with an SPI that is no inbound SA's, though by all that is known of the peer they
// should find one. It is told, and the child is made anew if there is none; an empty child: each that there
// is none of.
struct InvalidSpi {
  std::string connection;
  std::string child;
  std::optional<Identity> peer{};  // of a connection that has several
  std::uint32_t spi = 0;
  bool may_begin = true;  // also where no IKE SA is there yet
  // Whence they come where that was in UDP, with an SPI that we gave out: a NAT lets IKE through to there.
  std::optional<Endpoint> in_udp_from{};
};
// One of the child's SAs was not installed: it is deleted, and made again later.
struct InstallFailed {
  std::uint32_t inbound_spi;
  std::string why;
  bool is_shortage = false;  // there was no place for it
};
// The same of a peer whom only a token can tell (RFC 6290): the IKE SA was of a process before this one, and
// the peer alone can begin another.
struct LostSpi {
  std::uint32_t spi = 0;
  Spis ike_sa;  // that the SPI's was made by
  bool we_began = false;
  Endpoint from;
  Endpoint to;
  std::size_t most_bytes = 0;  // of the UDP payload: what comes back must not be more
};
using Event = std::variant<DatagramReceived, TimerExpired, WorkFinished, TrafficWaits, LocalAddresses,
                           Initiate, Terminate, Rekey, TrafficArrived, SoftExpired, HardExpired, SaDeleted,
                           InvalidSpi, LostSpi, InstallFailed>;

// -- what is to be done --

struct SendDatagram {
  Endpoint from;
  Endpoint to;
  std::vector<std::uint8_t> bytes;
};
// Run it on any thread, then WorkFinished.
struct RunWork {
  Ticket ticket;
  std::function<void()> run;
  Urgency urgency = Urgency::established;
};
// One direction of a child SA.
struct ChildSaParameters {
  std::string connection;
  std::string child;
  std::uint32_t spi = 0;
  crypto::SuiteId suite{};
  Secret keymat;
  Endpoint local;
  Endpoint remote;
  bool udp_encapsulation = false;
  bool transport = false;
  bool extended_sequence = false;
  std::vector<net::TrafficSelector> selectors;
  std::optional<Identity> peer{};  // of a connection that has any number of them; else none
  bool tfc_padding = true;         // the peer takes packets with it (RFC 4303 2.7)
};
// From here on packets with this SPI are taken.
struct InstallInbound {
  ChildSaParameters sa;
};
// The child belongs to this IKE SA from here on.
struct OwnChild {
  std::uint32_t inbound_spi = 0;
  std::string child;
  net::Address peer;
  Spis ike_sa;
  bool we_began = false;
};
// From here on the child's traffic goes out by this SA, and by the one before no more. An outbound SA is
// installed once in its life.
struct InstallOutbound {
  ChildSaParameters sa;
  std::uint32_t inbound_spi = 0;
};
// The SPI is ours no longer. `replaced`: there is a successor, and packets under way are still good for a
// while.
struct RetireInbound {
  std::uint32_t inbound_spi = 0;
  bool replaced = false;
};
// The child's traffic has no SA any more.
struct RetireOutbound {
  std::string connection;
  std::string child;
  std::uint32_t spi = 0;
  std::string reason;
  std::optional<Identity> peer{};  // as ChildSaParameters has it
};
// The peer of a child that is encapsulated in UDP is elsewhere now.
struct MoveChild {
  std::uint32_t inbound_spi = 0;
  std::uint32_t outbound_spi = 0;
  Endpoint remote;
};
// A byte of 0xff in UDP for the NAT on our side, which else forgets where answers go (RFC 3948 2.3).
struct KeepNatMapping {
  Endpoint from;
  Endpoint to;
};
// The peer gave us these addresses for as long as the IKE SA, or one that replaces it, is there.
struct TakeAddresses {
  std::string connection;
  std::vector<net::Address> addresses;
};
struct DropAddresses {
  std::string connection;
  std::vector<net::Address> addresses;
};
// An IKE SA by which something was said in secret is no more, and these were its keys: where
// Parts::wants_keys.
struct KeysEnded {
  std::string connection;
  bool is_proven = false;  // the peer's identity: else it may be anybody's
  Spis spis;
  crypto::SuiteId suite{};
  SaKeys keys;
};
// An attempt to bring a connection or one of its children up came to nothing, each time, also where it was to
// replace a child that is there. Whoever only begins is no peer yet of a connection that has them at any
// address.
struct AttemptFailed {
  std::string connection;
  std::string child;  // empty: the IKE SA, or none of the children is known to be meant
  std::string reason;
  Endpoint remote;
  std::optional<Identity> peer{};  // as ChildSaParameters has it; none as well: it has not proved who it is
};
enum class Level : std::uint8_t { debug, information, warning };
struct LogLine {
  Level level = Level::information;
  std::string text;
  std::string connection{};  // that it is about; empty: none
};
using Action = std::variant<SendDatagram, RunWork, InstallInbound, OwnChild, InstallOutbound, RetireInbound,
                            RetireOutbound, MoveChild, KeepNatMapping, TakeAddresses, DropAddresses,
                            KeysEnded, AttemptFailed, LogLine>;
using Actions = std::vector<Action>;

}  // namespace espgate::ike
