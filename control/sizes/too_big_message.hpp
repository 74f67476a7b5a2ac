// "Too big": what a sender is told whose packet may not be fragmented (RFC 1191 4, RFC 4443 3.2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "datapath/net/address.hpp"

namespace espgate::sizes {

// The IP packet to the sender of `refused`, an IP packet or its beginning with a whole and sound header;
// `largest` is the packet that would fit. `speaker` is our address, of the same family. Nothing for packets
// that nobody must be told of: ICMP errors, fragments behind the first, group and unspecified addresses (RFC
// 1122 3.2.2, RFC 4443 2.4 e).
std::optional<std::vector<std::uint8_t>> too_big_message(std::span<const std::uint8_t> refused,
                                                         std::uint16_t largest, const net::Address& speaker);

}  // namespace espgate::sizes
