// IKE messages as IP packets: in UDP port 500, or in 4500 behind four zero bytes that tell them from ESP
// (RFC 7296 3.1, RFC 3948 2.2). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/ike/events.hpp"

namespace espgate::daemon {

// `frame` is an untagged Ethernet frame as workers punt it. None: no IKE message, or a wrong UDP checksum.
std::optional<ike::DatagramReceived> read_ike_frame(std::span<const std::uint8_t> frame);

// "IKE_AUTH request 1, 284 bytes, of IKE SA 0x0123456789abcdef 0xfedcba9876543210", for the log.
std::string describe_ike_message(std::span<const std::uint8_t> message);

// The IP packet, of 65,535 bytes at most; empty if the message is longer.
std::vector<std::uint8_t> ike_packet(const ike::SendDatagram& datagram);
// The one that keeps the mapping of a NAT (RFC 3948 2.3).
std::vector<std::uint8_t> nat_keepalive_packet(const ike::Endpoint& from, const ike::Endpoint& to);

}  // namespace espgate::daemon
