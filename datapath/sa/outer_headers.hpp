// The headers that go before every packet of an outbound SA, made once when it is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/sa/sa_parameters.hpp"

namespace espgate::sa {

inline constexpr std::size_t longest_outer_headers_bytes = 56;  // IPv6, UDP, ESP

// Writes IP + [UDP] + ESP header to `out` and returns their length: 28, 36, 48 or 56. For the worker to
// fill in: IP length, what is copied of DSCP, ECN and DF, IPv4 identification where DF is clear, IPv4 header
// checksum, IPv6 flow label, UDP length, ESP sequence number; all 0 here.
//
// The UDP checksum is 0: over IPv4 as RFC 3948 2.1 has it; over IPv6 as RFC 6935 and 6936 allow for
// tunnels whose content is protected otherwise, here by the ICV. An IPv6 peer must be willing to take it.
// (In transport mode only UDP and ESP headers are used; the addresses tell which packets the SA is for.)
std::uint8_t write_outer_headers(const SaParameters& parameters, std::span<std::uint8_t, 64> out);

// The bits of DSCP and ECN that go from the inner header to the outer one.
std::uint8_t copied_traffic_class(const OuterFields& outer);

}  // namespace espgate::sa
