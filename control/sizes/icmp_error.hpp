// ICMP errors: what the sender of a packet is told that goes no further (RFC 1812 4.3, RFC 1191 4, RFC 4443
// 3).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "datapath/net/address.hpp"
#include "datapath/net/refusal.hpp"

namespace espgate::sizes {

// The IP packet to the sender of `refused`, an IP packet or its beginning with a whole and sound header.
// `speaker` is our address, of the same family. Nothing for packets that nobody must be told of: ICMP errors,
// fragments behind the first, group and unspecified addresses (RFC 1122 3.2.2, RFC 4443 2.4 e).
std::optional<std::vector<std::uint8_t>> icmp_error(std::span<const std::uint8_t> refused,
                                                    net::Refusal refusal, const net::Address& speaker);

}  // namespace espgate::sizes
