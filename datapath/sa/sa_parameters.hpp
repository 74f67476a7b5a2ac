// One direction's key material and parameters, as configured or negotiated: what control hands to the
// SA store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"
#include "datapath/net/traffic_selector.hpp"
#include "datapath/sa/lifetime.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

enum class DfPolicy : std::uint8_t { copy, set, clear };

// What the outer header of a tunnel says where the inner packet does not decide (RFC 4301 5.1.2).
struct OuterFields {
  DfPolicy df = DfPolicy::copy;  // IPv4 don't-fragment; an inner IPv6 packet counts as having it set
  std::optional<std::uint8_t> dscp = std::nullopt;  // 0..63; nullopt copies the inner packet's
  bool ecn = true;              // normal mode of RFC 6040; false is its compatibility mode
  std::uint8_t hop_limit = 64;  // TTL or hop limit, 1..255
  bool flow_label = true;       // IPv6: made from the inner flow (RFC 6438), or 0
  bool operator==(const OuterFields&) const = default;
};

struct SaParameters {
  std::uint32_t spi = 0;  // 256 or above
  crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128;
  std::vector<std::uint8_t> keymat;  // suite.keymat_bytes(), in KEYMAT's order. Cleansed by its owner.
  net::Address local;                // outer addresses, both of one family
  net::Address remote;
  Mode mode = Mode::tunnel;
  OuterFields outer;
  std::uint16_t tfc_bytes = 0;  // outbound, tunnel mode: see OutboundSa
  Encapsulation encapsulation = Encapsulation::none;
  std::uint16_t local_port = 4500;  // with udp encapsulation; not 0
  std::uint16_t remote_port = 4500;
  bool track_peer = true;          // inbound, with udp encapsulation: the peer's address and port may change
  bool any_encapsulation = false;  // inbound: ESP may come plain and in UDP at any time (RFC 7296 2.23)
  bool extended_sequence = false;
  std::uint32_t window_packets = 1024;  // inbound; 64..65536, 0 is off
  // Inbound 1..255. Outbound none where policies have them; where routes decide, what the SA is for.
  std::vector<net::TrafficSelector> selectors;
  Lifetime lifetime;
  LifetimeUsed used;
  // Of a key that was in use before. Outbound: the last number that was given out. Inbound: what comes with
  // numbers up to it less the window is refused.
  std::uint64_t sequence = 0;
};

// What is wrong with them, if anything. An SPI below 256 is reserved (RFC 4303 2.1).
Expected<void> validate_spi(std::uint32_t spi);
Expected<void> validate_outbound(const SaParameters& parameters);
Expected<void> validate_inbound(const SaParameters& parameters);

// "0x0000c0de", as SPIs are written in messages.
std::string spi_text(std::uint32_t spi);

}  // namespace espgate::sa
