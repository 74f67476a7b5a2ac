// The packet that keeps a NAT's mapping (RFC 3948 2.3).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

// From our address and port to where the peer of a UDP-encapsulated SA is now: one byte 0xff in UDP in IP.
class NatKeepalive {
 public:
  explicit NatKeepalive(const OutboundSa& sa);
  std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(size_); }

 private:
  std::array<std::uint8_t, 64> bytes_{};
  std::size_t size_;
};

}  // namespace espgate::sa
