// What a worker tells the control core of an ESP packet whose SPI led to no active SA. A sample: the
// packet itself was dropped and counted; records beyond the ring or the rate limit are not sent. The packet's
// first bytes go with each record, as evidence: which record is the first of its flow, only control knows.
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
  std::uint8_t unused;
  std::uint8_t link_bytes;    // of `head` in front of the IP header; 0: what came in had none
  std::uint16_t head_bytes;   // of `head` that are filled in
  std::uint16_t frame_bytes;  // of the whole frame
  static constexpr std::size_t most_head_bytes = 256;
  std::uint8_t head[most_head_bytes];  // the frame as it came in, cut
};
static_assert(sizeof(SpiMiss) == 64 + SpiMiss::most_head_bytes);

}  // namespace espgate::sa
