// Builds frames for tests, byte by byte from the RFCs' field lists, independent of the parser.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace espgate::testing {

using Frame = std::vector<std::uint8_t>;

inline void put16(Frame& frame, unsigned value) {
  frame.push_back(static_cast<std::uint8_t>(value >> 8));
  frame.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(Frame& frame, std::uint32_t value) {
  put16(frame, value >> 16);
  put16(frame, value & 0xffff);
}
inline Frame operator+(Frame a, const Frame& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Frame ethernet(unsigned type, std::initializer_list<unsigned> tags = {}, unsigned tag_type = 0x8100) {
  Frame frame{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const unsigned tag : tags) {
    put16(frame, tag_type);
    put16(frame, tag);
    tag_type = 0x8100;
  }
  put16(frame, type);
  return frame;
}

struct Ipv4 {
  std::uint8_t protocol = 50;
  std::uint32_t source = 0xc0000202;
  std::uint32_t destination = 0xc0000201;
  unsigned fragment = 0;
  Frame options = {};

  Frame operator()(const Frame& payload) const {
    Frame header{static_cast<std::uint8_t>(0x45 + options.size() / 4), 0};
    put16(header, static_cast<unsigned>(20 + options.size() + payload.size()));
    put16(header, 0x1234);
    put16(header, fragment);
    header.push_back(64);
    header.push_back(protocol);
    put16(header, 0);
    put32(header, source);
    put32(header, destination);
    header = header + options;
    unsigned sum = 0;
    for (std::size_t i = 0; i < header.size(); i += 2) sum += header[i] * 256U + header[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    header[10] = static_cast<std::uint8_t>(~sum >> 8);
    header[11] = static_cast<std::uint8_t>(~sum);
    return header + payload;
  }
};

struct Ipv6 {
  std::uint8_t next_header = 50;
  Frame source = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  Frame destination = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

  Frame operator()(const Frame& payload) const {
    Frame header{0x60, 0, 0, 0};
    put16(header, static_cast<unsigned>(payload.size()));
    header.push_back(next_header);
    header.push_back(64);
    return header + source + destination + payload;
  }
};

// An IPv6 extension header of `units` times 8 bytes; not for the fragment header.
inline Frame extension(std::uint8_t next_header, unsigned units = 1) {
  Frame header(units * 8, 0);
  header[0] = next_header;
  header[1] = static_cast<std::uint8_t>(units - 1);
  return header;
}
inline Frame fragment_header(std::uint8_t next_header, unsigned offset_bytes, bool more) {
  Frame header{next_header, 0};
  put16(header, offset_bytes | (more ? 1U : 0U));
  put32(header, 0xdeadbeef);
  return header;
}

inline Frame udp(unsigned source, unsigned destination, const Frame& payload) {
  Frame header;
  put16(header, source);
  put16(header, destination);
  put16(header, static_cast<unsigned>(8 + payload.size()));
  put16(header, 0);
  return header + payload;
}

inline Frame esp(std::uint32_t spi = 0x1001, std::uint32_t sequence = 7, std::size_t rest = 40) {
  Frame packet;
  put32(packet, spi);
  put32(packet, sequence);
  return packet + Frame(rest, 0xa5);
}

}  // namespace espgate::testing
