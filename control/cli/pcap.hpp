// Frames as a pcap file with nanosecond times, which tshark, Wireshark and tcpdump read.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace espgate::cli {

// Little-endian, magic 0xa1b23c4d, link type Ethernet.
std::string pcap_header();
// One record: `time_ns` since 1970, `data` what was captured of a frame of `length_bytes`.
std::string pcap_record(std::uint64_t time_ns, std::uint32_t length_bytes,
                        std::span<const std::uint8_t> data);

}  // namespace espgate::cli
