// Addresses that a peer asks for with the configuration payload (RFC 7296 3.15). Any thread.
#pragma once

#include <vector>

#include "control/ike/write.hpp"
#include "datapath/net/address.hpp"

namespace espgate::ike {

// Asks for an address of each of these families, and for DNS servers.
void request_configuration(bool v4, bool v6, PayloadWriter& request);

struct Assigned {
  std::vector<net::Address> addresses;
  std::vector<net::Address> dns;
};
// What the peer gives; attributes that are not of their length are left out.
Assigned read_configuration(const ConfigurationPayload& reply);

// Of which families the peer asks for an address.
struct AddressesWanted {
  bool v4 = false;
  bool v6 = false;
  bool any() const { return v4 || v6; }
};
AddressesWanted addresses_wanted(const ConfigurationPayload& request);

// Adds the answer to `request`: of what we have to give the kinds that were asked for. Nothing, if the
// payload is no request or nothing is left; the peer then has to do without.
void answer_configuration(const ConfigurationPayload& request, const std::vector<net::Address>& addresses,
                          const std::vector<net::Address>& dns, PayloadWriter& reply);

}  // namespace espgate::ike
