// Where the upper layer of an IP packet begins, behind IPv4 options or IPv6 extension headers, and what
// selectors judge of it.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/net/flow.hpp"

namespace espgate::parse {

struct UpperLayer {
  std::uint8_t protocol = 0;    // of a later IPv6 fragment, of the first header behind the fragment header
  bool fragment = false;        // part of a datagram; an IPv6 atomic fragment (RFC 6946) is not
  bool first_fragment = false;  // the part with the upper-layer header
  std::uint16_t offset = 0;     // from the IP header's first byte
  bool on_its_way = false;      // a routing header has segments left: the destination is a station on the way
};

// `packet` begins with a whole and sound IP header, and ends where the packet or what is known of it ends.
// False if IPv6 extension headers are cut off or too many.
bool find_upper_layer(std::span<const std::uint8_t> packet, net::Family family, UpperLayer& upper);

// The flow of a packet with a whole and sound IP header, whose sender is the local side. Everything that
// cannot be seen is marked as unknown.
void read_flow(std::span<const std::uint8_t> packet, net::Family family, const UpperLayer& upper,
               net::Flow& flow);
// The same for a packet of which no more is known than that its IP header is sound: one just decrypted.
void read_flow(std::span<const std::uint8_t> packet, net::Family family, net::Flow& flow);
// Both where all fragments of a packet are to be judged alike: the first does not show what the others do not
// have (RFC 4301 7).
void read_flow_of_part(std::span<const std::uint8_t> packet, net::Family family, UpperLayer upper,
                       net::Flow& flow);
void read_flow_of_part(std::span<const std::uint8_t> packet, net::Family family, net::Flow& flow);

}  // namespace espgate::parse
