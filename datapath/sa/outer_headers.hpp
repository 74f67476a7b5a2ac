// The headers that go before every packet of an outbound SA, made once when it is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/sa/sa_parameters.hpp"

namespace espgate::sa {

inline constexpr std::size_t longest_outer_headers_bytes = 56;  // IPv6, UDP, ESP

// Writes IP + [UDP] + ESP header to `out` and returns their length: 28, 36, 48 or 56. For the worker to
// fill in: IP length, DSCP/ECN, IPv4 header checksum, UDP length, ESP sequence number; all 0 here.
//
// IPv4 goes out with DF set and identification 0 (atomic, RFC 6864 4.1); TTL and hop limit are 64.
// The UDP checksum is 0: over IPv4 as RFC 3948 2.1 has it; over IPv6 as RFC 6935 and 6936 allow for
// tunnels whose content is protected otherwise, here by the ICV. An IPv6 peer must be willing to take it.
std::uint8_t write_outer_headers(const SaParameters& parameters, std::span<std::uint8_t, 64> out);

}  // namespace espgate::sa
