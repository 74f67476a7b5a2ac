// A connection as the manager holds it: who it is, which SAs carry it now, and what the SAs before them
// carried. No key is kept here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/sa/fingerprint.hpp"
#include "control/sa/moment.hpp"
#include "datapath/net/address.hpp"
#include "datapath/sa/sa_store.hpp"
#include "datapath/tunnel/tunnel_table.hpp"

namespace espgate::sa {

struct Policy;

struct Totals {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;                                // inner packets
  std::uint64_t last_tsc = 0;                             // of the last of them; 0: none
  std::vector<std::pair<Verdict, std::uint64_t>> faults;  // those above 0, in the order of the drop table

  Totals& operator+=(const Totals& other);
  std::uint64_t of(Verdict fault) const;
};

// What the store has counted for one SA so far.
Totals inbound_totals(SaStore& store, std::uint32_t index);
Totals outbound_totals(SaStore& store, std::uint32_t index);

// What was used of its lifetime, but for the seconds; nothing where it has none.
LifetimeUsed inbound_used(SaStore& store, std::uint32_t index);
LifetimeUsed outbound_used(SaStore& store, std::uint32_t index);

struct Connection {
  std::string name;
  unsigned line = 0;                          // in the configuration file
  std::vector<Policy*> policies;              // in the book, for as long as they are configured
  tunnel::Index tunnel = tunnel::no_tunnel;   // that routes lead into
  std::uint32_t tunnel_sa = no_sa;            // store index of the outbound SA that the tunnel names
  std::uint32_t inbound = no_sa;              // store index of the SA that the peer should use now
  std::vector<std::uint32_t> inbound_beside;  // SPIs of those that stay good beside it, the last one last
  std::uint32_t outbound = no_sa;             // store index of the SA that we use now
  // Store indices of all that have not been released, the last one last.
  std::vector<std::uint32_t> inbound_sas;
  std::vector<std::uint32_t> outbound_sas;
  Fingerprint inbound_mark;  // what these were installed from, to tell an unchanged reload
  Fingerprint outbound_mark;
  std::uint32_t nat_keepalive_s = 0;      // 0: none are sent
  std::uint64_t packets_sent = 0;         // of the outbound SA, when last looked at
  Moment last_sent;                       // when that number had changed, or a keepalive went
  std::uint32_t dummy_rate = 0;           // packets a second; 0: none
  std::chrono::nanoseconds next_dummy{};  // steady time
  std::optional<net::Address> moved_to;   // where the peer was found that is not at its configured address
  unsigned peer_moves = 0;                // how often it was found elsewhere than before
  Moment peer_moved;                      // the last time
  Totals past_inbound;                    // of SAs that are gone
  Totals past_outbound;
  bool configured = true;   // false once it left the configuration
  std::uint64_t owner = 0;  // of the SAs that are to come, as the store has it

  bool has_no_sas() const { return inbound_sas.empty() && outbound_sas.empty(); }
};

// What the configuration says of it, beside its SAs and policies.
void take_settings(Connection& connection, const config::Connection& wanted);

// Shared by the SAs of a connection, so that one that leaves the configuration lives until its last
// SA is gone.
using ConnectionHandle = std::shared_ptr<Connection>;

}  // namespace espgate::sa
