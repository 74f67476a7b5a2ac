// What a worker tells the control core of an ESP packet whose SPI led to no active SA. A sample: the
// packet itself was dropped and counted; records beyond the ring or the rate limit are not sent.
#pragma once

#include <cstdint>

#include "datapath/net/address.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

enum class Miss : std::uint8_t {
  not_found,
  larval,
  retired,
  mismatch,  // its SA is active, but for other outer addresses, another port or encapsulation
};

struct SpiMiss {
  std::uint8_t source[16];  // outer addresses, network order, IPv4 in the first four
  std::uint8_t destination[16];
  std::uint64_t tsc;          // when
  std::uint32_t spi;          // host order
  std::uint32_t sequence;     // low half as on the wire
  std::uint16_t source_port;  // UDP encapsulation: host order, else 0
  std::uint16_t destination_port;
  std::uint16_t packet_bytes;  // outer IP packet
  std::uint8_t port;           // index of the port it came in by
  Miss miss;
  net::Family family;
  Encapsulation encapsulation;
  std::uint8_t unused[6];
};
static_assert(sizeof(SpiMiss) == 64);

}  // namespace espgate::sa
