// libFuzzer target for the frame parser. The input is three bytes of arguments (how much of the frame is
// contiguous, whether the checksum is known good, which VLANs the port carries) and then the frame.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>

#include "datapath/parse/frame.hpp"
#include "tests/datapath/parse/invariants.hpp"

using namespace espgate;

namespace {

constexpr std::size_t argument_bytes = 3;

[[noreturn]] void fail(const char* what, const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", what, why.c_str());
  std::abort();
}

void check(std::span<const std::uint8_t> bytes, std::size_t frame_bytes, bool checksum_good,
           parse::Vlans vlans) {
  const auto info = parse::parse_frame(bytes, frame_bytes, checksum_good, vlans);
  const auto broken = testing::broken_invariant(info, bytes, frame_bytes);
  if (!broken.empty()) fail("parse_frame", broken);
}

// A decrypted packet is judged by the same rules wherever it starts.
void check_inner(net::Family family, std::span<const std::uint8_t> bytes) {
  std::uint32_t total = 0;
  if (net::inner_ok(family, bytes, total) && (total > bytes.size() || total < net::ipv4_header_bytes))
    fail("inner_ok", "length outside the packet");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < argument_bytes) return 0;
  const std::span<const std::uint8_t> input(data, size);
  const auto frame = input.subspan(argument_bytes);
  // A block of its own, so that the address sanitizer sees a read behind the contiguous part.
  const std::size_t contiguous = frame.size() * input[0] / 255;
  const auto copy = std::make_unique<std::uint8_t[]>(contiguous);
  std::copy_n(frame.begin(), contiguous, copy.get());
  const std::span<const std::uint8_t> start(copy.get(), contiguous);

  constexpr parse::Vlans ports[] = {0, 100, 7U << 16 | 100, 1};
  check(start, frame.size(), (input[1] & 1) != 0, ports[input[2] % 4]);
  const auto whole = parse::parse_frame(start, start.size(), false, 0);
  if (const auto change = testing::tag_changes(whole, start, false); !change.empty())
    fail("a priority tag changes", change);
  check_inner(net::Family::v4, start);
  check_inner(net::Family::v6, start);
  return 0;
}
