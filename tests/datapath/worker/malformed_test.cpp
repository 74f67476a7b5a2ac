// Every truncation of a valid frame and every single-bit flip of its ends: exactly one verdict each, and
// never a packet let through that should not be.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Bytes valid_frame(const Rig& rig, std::uint64_t sequence) {
  return rig.esp_frame(sequence, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
}

// Runs the frame and says how many verdicts it got; outputs are counted by the caller's rig.
std::uint64_t verdicts_for(Rig& rig, const Bytes& frame) {
  rig.run(Rig::outside, frame);
  std::uint64_t total = 0;
  for (const auto& row : verdict_rows()) total += rig.taken(row.verdict);
  return total;
}

}  // namespace

TEST_CASE("every truncation gets exactly one verdict and none is forwarded") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .encapsulation = encapsulation});
  const auto frame = valid_frame(rig, 1);
  for (std::size_t length = 0; length < frame.size(); ++length) {
    CAPTURE(length);
    const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(rig.run(Rig::outside, cut).inside.empty());
    std::uint64_t total = 0;
    for (const auto& row : verdict_rows()) total += rig.taken(row.verdict);
    CHECK(total == 1);
    rig.spi_misses();
  }
  CHECK(rig.conserved());
}

TEST_CASE("every single-bit flip of the first 64 and the last 32 bytes gets exactly one verdict") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .encapsulation = encapsulation, .window_packets = 0});
  const auto frame = valid_frame(rig, 1);
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    const std::size_t byte = bit / 8;
    if (byte >= 64 && byte + 32 < frame.size()) continue;
    CAPTURE(byte, bit % 8);
    auto flipped = frame;
    flipped[byte] = static_cast<std::uint8_t>(flipped[byte] ^ (1u << (bit % 8)));
    CHECK(verdicts_for(rig, flipped) == 1);
    rig.spi_misses();
  }
  CHECK(rig.conserved());
}
