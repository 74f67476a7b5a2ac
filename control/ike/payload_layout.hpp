// Numbers inside payloads that reading and writing share (RFC 7296 3.3, 3.11, 3.13).
#pragma once

#include <cstddef>
#include <cstdint>

#include "datapath/net/traffic_selector.hpp"

namespace espgate::ike::layout {

inline constexpr std::size_t substructure_header_bytes = 4;  // of a proposal, a transform, a selector
inline constexpr std::size_t selector_header_bytes = 8;      // with its ports
inline constexpr std::size_t spi_bytes = 4;                  // of ESP and AH

inline constexpr std::uint8_t more_proposals = 2;
inline constexpr std::uint8_t more_transforms = 3;
inline constexpr std::uint16_t attribute_is_short = 0x8000;  // the value stands in place of the length
inline constexpr std::uint16_t key_length_attribute = 14;

inline constexpr std::uint8_t ipv4_range = 7;
inline constexpr std::uint8_t ipv6_range = 8;
inline constexpr net::PortRange opaque_ports{0xffff, 0};

}  // namespace espgate::ike::layout
