// What a router on the way says of ESP that we sent and that was too large for it (RFC 1191 4, RFC 4443 3.2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "datapath/net/address.hpp"

namespace espgate::sizes {

// Unauthenticated: anybody can send one. RFC 4301 8.2.1 has it checked against the SA.
struct PathReport {
  net::Address local;  // of the packet that is quoted: outer source
  net::Address remote;
  std::uint32_t spi = 0;
  std::uint32_t sequence = 0;  // low half
  std::uint16_t mtu = 0;
};

// Cheap for anything else. `packet` is a whole IP packet.
std::optional<PathReport> read_path_report(std::span<const std::uint8_t> packet);

}  // namespace espgate::sizes
