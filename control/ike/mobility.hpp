// What an IKE SA knows of addresses that change (MOBIKE, RFC 4555). Who began the first of its line says
// where it is, whoever rekeyed since; the other side answers from where it is asked.
#pragma once

#include <vector>

#include "control/ike/connection.hpp"
#include "control/ike/write.hpp"

namespace espgate::ike {

struct Mobility {
  bool agreed = false;                  // both sides do it
  bool peer_unproven = false;           // the peer moved, and that it can be reached there has to be seen
  bool update_due = false;              // we moved, and the peer is to be told
  std::vector<net::Address> refused{};  // of ours, by the peer, since there were others
};

// As responder, that is reached at one of its addresses: the others (RFC 4555 3.6).
void add_other_addresses(PayloadWriter& payloads, const Connection& connection, const net::Address& reached);

}  // namespace espgate::ike
