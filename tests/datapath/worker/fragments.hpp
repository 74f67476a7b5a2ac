// Frames cut into fragments as a router or a peer would, and put together again, by code of the tests' own.
#pragma once

#include <span>
#include <vector>

#include "datapath/net/address.hpp"
#include "datapath/verdict/verdict.hpp"
#include "tests/datapath/worker/rig.hpp"

namespace espgate::test {

// Cuts the IP packet of an untagged frame at these offsets of its payload, multiples of eight.
std::vector<Bytes> fragments_of(const Bytes& frame, std::span<const std::size_t> cuts,
                                std::uint32_t identification);
// The IP packet of frames that are fragments of one, or a packet alone; empty if they do not make one.
Bytes joined(const std::vector<Bytes>& frames);

// Of a fragment's frame, with its checksum.
void clear_more(Bytes& frame);
void set_offset(Bytes& frame, std::size_t bytes);
void set_length(Bytes& frame, std::size_t ip_bytes);

inline Verdict by(net::Family family, Verdict v4, Verdict v6) {
  return family == net::Family::v4 ? v4 : v6;
}

}  // namespace espgate::test
