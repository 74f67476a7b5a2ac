// One direction's key material and parameters, as configured or negotiated: what control hands to the
// SA store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"
#include "datapath/net/traffic_selector.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

struct SaParameters {
  std::uint32_t spi = 0;  // 256 or above
  crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128;
  std::vector<std::uint8_t> keymat;  // key, then salt; suite.keymat_bytes(). Cleansed by its owner.
  net::Address local;                // outer addresses, both of one family
  net::Address remote;
  Encapsulation encapsulation = Encapsulation::none;
  std::uint16_t local_port = 4500;  // with udp encapsulation; not 0
  std::uint16_t remote_port = 4500;
  bool extended_sequence = false;
  std::uint32_t window_packets = 1024;          // inbound; 64..65536, 0 is off
  std::vector<net::TrafficSelector> selectors;  // inbound: 1..255; outbound: policies have them
};

// What is wrong with them, if anything. An SPI below 256 is reserved (RFC 4303 2.1).
Expected<void> validate_spi(std::uint32_t spi);
Expected<void> validate_outbound(const SaParameters& parameters);
Expected<void> validate_inbound(const SaParameters& parameters);

// "0x0000c0de", as SPIs are written in messages.
std::string spi_text(std::uint32_t spi);

}  // namespace espgate::sa
