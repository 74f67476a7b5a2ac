// Every truncation and every single-bit error of one frame of each kind: the parser answers with one kind,
// and no offset leads out of the frame.
#include <catch2/catch.hpp>
#include <memory>

#include "datapath/parse/frame.hpp"
#include "tests/datapath/parse/invariants.hpp"
#include "tests/datapath/parse/samples.hpp"

using namespace espgate;
using namespace espgate::parse;
using namespace espgate::testing;

namespace {

// From a block of exactly that size, so that the address sanitizer sees any read behind it.
FrameInfo parsed_alone(const Frame& frame, std::size_t bytes, bool checksum_good, Vlans vlans) {
  const auto copy = std::make_unique<std::uint8_t[]>(bytes);
  std::copy_n(frame.begin(), bytes, copy.get());
  const std::span<const std::uint8_t> view(copy.get(), bytes);
  const auto info = parse_frame(view, bytes, checksum_good, vlans);
  REQUIRE(broken_invariant(info, view, bytes) == std::string());
  if (vlans == 0) REQUIRE(tag_changes(info, view, checksum_good) == std::string());
  return info;
}

}  // namespace

TEST_CASE("a frame cut off anywhere is not taken for a whole one") {
  for (const auto& frame : one_of_each()) {
    const bool is_arp = frame[12] == 0x08 && frame[13] == 0x06;
    for (const Vlans vlans : {0U, 100U, 7U << 16 | 100})
      for (std::size_t bytes = 0; bytes < frame.size(); ++bytes) {
        const auto info = parsed_alone(frame, bytes, false, vlans);
        const bool whole = is_arp && vlans == 0 && bytes >= 14;  // ARP has no length that we know of
        CHECK(info.kind == (whole ? FrameKind::not_ip : FrameKind::invalid));
      }
  }
}

TEST_CASE("headers cut off behind the contiguous part are not read") {
  for (const auto& frame : one_of_each())
    for (std::size_t bytes = 0; bytes <= frame.size(); ++bytes) {
      const auto copy = std::make_unique<std::uint8_t[]>(bytes);
      std::copy_n(frame.begin(), bytes, copy.get());
      const std::span<const std::uint8_t> view(copy.get(), bytes);
      REQUIRE(broken_invariant(parse_frame(view, frame.size(), true, 0), view, frame.size()) ==
              std::string());
    }
}

TEST_CASE("a flipped bit gives one kind and offsets inside the frame") {
  for (const auto& original : one_of_each())
    for (std::size_t bit = 0; bit < original.size() * 8; ++bit) {
      auto frame = original;
      frame[bit / 8] = static_cast<std::uint8_t>(frame[bit / 8] ^ (1 << bit % 8));
      for (const Vlans vlans : {0U, 7U << 16 | 100}) {
        parsed_alone(frame, frame.size(), true, vlans);
        const auto info = parsed_alone(frame, frame.size(), false, vlans);
        const bool in_ipv4_header =
            original[12] == 0x08 && original[13] == 0 && bit >= 14 * 8 && bit < 34 * 8;
        if (in_ipv4_header && vlans == 0)
          CHECK(info.kind == FrameKind::invalid);  // the checksum sees one bit
      }
    }
}
