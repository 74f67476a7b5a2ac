// Damaged ESP without end: every truncation, with every single bit of what is left flipped, of every suite in
// both modes and over both IP versions. Each frame gets exactly one verdict, no buffer is lost, and what
// comes out decrypted is what the peer sent.
//
// ESPGATE_DAMAGE_STRIDE=1 runs them all; without it every 251st, from a random start (ESPGATE_SEED).
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>

#include "datapath/net/headers.hpp"
#include "tests/datapath/sa/from_environment.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// A cut frame's IP header may say the old length, which parsing notices, or the new one, so that the cut
// reaches the ESP code.
void mend_length(Bytes& frame, net::Family family) {
  const auto packet = std::span(frame).subspan(net::ethernet_bytes);
  if (family == net::Family::v4) {
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
    mend_checksum(frame, net::ethernet_bytes);
  } else {
    net::store_be16(packet, net::ipv6::payload_length,
                    static_cast<std::uint16_t>(packet.size() - net::ipv6_header_bytes));
  }
}

class Damages {
 public:
  Damages(const SaOptions& options) : rig_(options), tunnel_(options.mode == sa::Mode::tunnel) {
    const auto inner = rig_.inner(net::Family::v4, 20, true);
    payload_.assign(inner.begin() + net::ipv4_header_bytes, inner.end());
    frame_ = rig_.esp_frame(1, tunnel_ ? inner : payload_, tunnel_ ? net::protocol_ipv4 : net::protocol_udp);
  }

  // Runs every `stride`th damage, beginning with number `first`. Returns how many.
  std::uint64_t run(std::uint64_t first, std::uint64_t stride) {
    std::uint64_t number = 0;
    std::uint64_t done = 0;
    const std::size_t headers =
        net::ethernet_bytes +
        (rig_.options.outer == net::Family::v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes);
    for (const bool mended : {false, true})
      for (std::size_t length = mended ? headers : 0; length <= frame_.size(); ++length) {
        Bytes cut(frame_.begin(), frame_.begin() + static_cast<std::ptrdiff_t>(length));
        if (mended) mend_length(cut, rig_.options.outer);
        for (std::size_t bit = 0; bit < length * 8; ++bit) {
          if (number++ % stride != first) continue;
          auto flipped = cut;
          flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << (bit % 8));
          if (const auto* what = judge(flipped))
            FAIL(what << ": cut to " << length << (mended ? ", length mended" : "") << ", bit " << bit
                      << ", verdicts " << rig_.verdicts());
          ++done;
        }
      }
    if (!rig_.conserved()) FAIL("not conserved");
    return done;
  }

 private:
  std::uint64_t verdicts() const {
    std::uint64_t total = 0;
    for (const auto& counter : rig_.workers[0]->counters().verdicts) total += counter.value();
    return total;
  }
  bool ends_in_payload(const Bytes& frame) const {
    return frame.size() >= payload_.size() && std::equal(payload_.rbegin(), payload_.rend(), frame.rbegin());
  }
  // nullptr, or what is wrong.
  const char* judge(const Bytes& frame) {
    const auto before = verdicts();
    const auto out = rig_.run(Rig::outside, frame);
    rig_.spi_misses();
    rig_.peers_moved();
    if (verdicts() - before != 1) return "not one verdict";
    if (rig_.buffers_in_use() != 0) return "a buffer is lost";
    if (!out.outside.empty()) return "something went back outside";
    for (const auto& inner : out.inside)
      if (!tunnel_ || !ends_in_payload(inner)) return "something else came out";
    // What is for the kernel is the damaged frame as it came, or in transport mode what was in it.
    for (const auto& host : out.host)
      if (host != frame && (tunnel_ || !ends_in_payload(host)) && host.size() + 4 != frame.size())
        return "the kernel gets something else";
    return nullptr;
  }

  Rig rig_;
  bool tunnel_;
  Bytes payload_;
  Bytes frame_;
};

}  // namespace

TEST_CASE("damaged ESP of every suite, mode and IP version gets one verdict and loses nothing") {
  CAPTURE(seed());
  const auto stride = from_environment("ESPGATE_DAMAGE_STRIDE", 251);
  std::uint64_t done = 0;
  for (const auto& suite : crypto::suites())
    for (const auto mode : {sa::Mode::tunnel, sa::Mode::transport})
      for (const auto outer : {net::Family::v4, net::Family::v6}) {
        CAPTURE(suite.name, mode == sa::Mode::tunnel, outer == net::Family::v4);
        Damages damages({.outer = outer, .mode = mode, .window_packets = 0, .suite = suite.id});
        done += damages.run(seed() % stride, stride);
      }
  std::printf("%llu damaged frames\n", static_cast<unsigned long long>(done));
  CHECK(done > 1'000);
}
