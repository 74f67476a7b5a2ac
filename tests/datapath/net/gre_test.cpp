#include "datapath/net/gre.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

using namespace espgate::net;
using gre::Fault;
using gre::Options;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes written(const Options& options, std::size_t payload_bytes = 21) {
  Bytes packet(gre::header_bytes(options) + payload_bytes, 0x5a);
  gre::write(packet, options, Family::v4);
  return packet;
}

}  // namespace

TEST_CASE("a GRE header as RFC 2784 and RFC 2890 have it") {
  CHECK(written({}, 1) == Bytes{0, 0, 8, 0, 0x5a});
  CHECK(written({.key = 0x01020304}, 1) == Bytes{0x20, 0, 8, 0, 1, 2, 3, 4, 0x5a});
  // 0xa000 + 0x0800 + 0x0102 + 0x0304 + 0x5a00 = 0x10606, so 0x0607, whose complement is 0xf9f8.
  CHECK(written({.key = 0x01020304, .checksum = true}, 1) ==
        Bytes{0xa0, 0, 8, 0, 0xf9, 0xf8, 0, 0, 1, 2, 3, 4, 0x5a});
}

TEST_CASE("what was written is read, whatever the options") {
  for (const Options& options : {Options{}, Options{.key = 0}, Options{.key = 7, .checksum = true},
                                 Options{.key = {}, .checksum = true}}) {
    const auto packet = written(options);
    const auto opened = gre::read(packet, options);
    CHECK(opened.fault == Fault::none);
    CHECK(opened.header_bytes == gre::header_bytes(options));
    CHECK(opened.payload == Family::v4);
    // Cut off anywhere in its header it is malformed.
    for (std::size_t bytes = 0; bytes < opened.header_bytes; ++bytes)
      CHECK(gre::read(std::span(packet).first(bytes), options).fault == Fault::malformed);
  }
}

TEST_CASE("each bit of the header counts") {
  const Options options{.key = 7, .checksum = true};
  const auto good = written(options);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto packet = good;
    packet[at] ^= value;
    return gre::read(packet, options).fault;
  };
  for (const auto bit : std::to_array<std::uint8_t>({0x40, 0x08, 0x04}))
    CHECK(with(0, bit) == Fault::malformed);
  for (const auto bit : std::to_array<std::uint8_t>({1, 2, 4})) CHECK(with(1, bit) == Fault::malformed);
  CHECK(with(good.size() - 1, 1) == Fault::bad_checksum);
  CHECK(with(11, 1) == Fault::bad_checksum);
  CHECK(gre::read(written({.key = 8}), options).fault == Fault::wrong_key);
  CHECK(gre::read(written({}), options).fault == Fault::wrong_key);
  CHECK(gre::read(written(options), {}).fault == Fault::wrong_key);
  auto other = written({});
  other[2] = 0x65, other[3] = 0x58;  // Ethernet
  CHECK(gre::read(other, {}).fault == Fault::unknown_protocol);
  other[2] = 0x86, other[3] = 0xdd;
  CHECK(gre::read(other, {}).payload == Family::v6);
}

TEST_CASE("a sequence number is passed over, and a checksum may be missing") {
  const Bytes numbered{0x30, 0, 8, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0x45};
  const auto opened = gre::read(numbered, {.key = 7, .checksum = true});
  CHECK(opened.fault == Fault::none);
  CHECK(opened.header_bytes == 12);
}
