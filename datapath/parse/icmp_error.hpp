// ICMP errors, and the packets that they are about.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/net/address.hpp"

namespace espgate::parse {

// What `packet` quotes if it is an ICMP error: an IP header and at least eight bytes behind it, of a packet
// that its receiver has sent. Empty if it is none, a fragment, or quotes less. `packet` begins with a sound
// IP header and ends where the packet or what is known of it ends.
std::span<const std::uint8_t> quoted_by_error(std::span<const std::uint8_t> packet, net::Family family);

}  // namespace espgate::parse
