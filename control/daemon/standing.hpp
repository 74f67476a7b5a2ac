// Whether a connection is up, and why not, for the commands that show it. A reading of one moment: the next
// event, or another configuration, ends it.
#pragma once

#include <string>
#include <string_view>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

// Null: none is called that.
const config::Connection* find_connection(const Services& services, const std::string& name);
// Also by the name of one of its peers at any address ("site#7"). Error: there is neither.
struct Named {
  const config::Connection* connection;
  const IkeService::Peer* peer;  // null: the connection itself
};
Expected<Named> named(const Services& services, const std::string& name);

struct Standing {
  std::string_view state;  // "up", "connecting", "closing", "down"
  std::string reason;      // why it is not up, or, if it is, what is amiss; empty: nothing
};

Standing standing_of(const Services& services, const config::Connection& connection);

// Whose IKE SA a negotiated connection's child SA belongs to: its own, or that of another (`child-of`).
const std::string& owner_of(const config::Connection& connection);
// The peer's address as the file has it: "any" where it may be any.
std::string remote_text(const config::Connection& connection);
// Of a peer at any address that has an IKE SA alone.
std::string no_child_text(const ike::Endpoint& peer, std::string_view failure);
// Of an IKE SA, as above; and of one that is being begun, what came back so far; empty: nothing is known.
std::string_view state_text(const ike::IkeSa& sa);
std::string how_it_goes(const Services& services, const ike::IkeSa& sa, const config::Connection& connection);

}  // namespace espgate::daemon
