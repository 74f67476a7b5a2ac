// Which of the addresses that a peer assigns become ours (RFC 7296 3.15): a peer must not be able to make any
// address it likes one of this host's. Any thread.
#pragma once

#include <vector>

#include "control/ike/connection.hpp"

namespace espgate::ike {

struct Assignable {
  std::vector<net::Address> taken;
  std::vector<net::Address> refused;
};
// Taken are addresses of hosts within the networks that the configuration has on our side, one of a family,
// and neither end of the connection.
Assignable assignable(const std::vector<net::Address>& given, const Connection& ours);

}  // namespace espgate::ike
