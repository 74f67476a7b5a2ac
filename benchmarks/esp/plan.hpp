// What is measured: the cases of the end-to-end benchmark, and the addresses and SPIs of its SAs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/address.hpp"

namespace espgate::bench {

inline constexpr auto main_suite = crypto::SuiteId::aes_gcm_16_128;
inline constexpr std::size_t burst_packets = 64;
inline constexpr std::uint32_t window_packets = 1024;

enum class Direction : std::uint8_t { inbound, outbound };
enum class Kind : std::uint8_t { esp, unknown_spi };
// What brings packets to their SAs: policies, or routes into a tunnel of each SA's own.
enum class Route : std::uint8_t { policy, vti };

// Sizes of the inner IPv4 packet; IMIX is 7:4:1 of 64, 594 and 1518-byte frames.
inline constexpr unsigned imix = 0;
inline constexpr unsigned imix_bytes[12] = {46, 46, 46, 46, 46, 46, 46, 576, 576, 576, 576, 1500};
inline constexpr unsigned largest_inner_bytes = 8900;

constexpr bool is_quick(crypto::SuiteId suite) {
  return crypto::suite_table[crypto::index_of(suite)].cipher == crypto::Cipher::aes_gcm_16;
}

// Frames of one kind and size.
struct Load {
  Kind kind = Kind::esp;
  unsigned inner_bytes = 46;
  // In one run, of which the median is taken: short enough that many end before the scheduler steps in.
  std::size_t run_packets(crypto::SuiteId suite) const {
    if (inner_bytes > 1'500) return 1'024;
    return is_quick(suite) || most_inner_bytes() < 100 ? 8'192 : 2'048;
  }
  unsigned most_inner_bytes() const { return inner_bytes == imix ? 1500 : inner_bytes; }
  std::string inner_text() const { return inner_bytes == imix ? "imix" : std::to_string(inner_bytes); }
};

// All that is measured with one set of SAs.
struct Scene {
  Direction direction;
  std::uint32_t sas;
  crypto::SuiteId suite;
  std::vector<Load> loads;
  unsigned workers = 1;
  Route route = Route::policy;
};

struct Selection {
  bool quick = false;
  Route route = Route::policy;
  bool full = false;                  // every suite as the main one
  std::vector<Direction> directions;  // empty: all
  std::vector<unsigned> inner_bytes;
  std::vector<std::uint32_t> sas;
  std::vector<Kind> kinds;
  std::vector<crypto::SuiteId> suites;  // empty: the main one in full, each other with one SA
};
std::vector<Scene> plan(const Selection& selection);

// Frames in the port's ring: each SA has at least one, and as few as that allows, so that reading them
// does not become the port's main cost. A divisor or a multiple of what a run takes. With a slower suite the
// ring takes longer to come round, and other processes have its frames out of the cache by then.
constexpr std::size_t frame_count(const Scene& scene) {
  if (scene.sas <= 512 && !is_quick(scene.suite)) return 512;
  return scene.sas <= 4'096 ? 4'096 : scene.sas <= 65'536 ? 65'536 : 1'048'576;
}

// SPIs spread over all 32 bits, as random ones are; the multiplier is odd, so no two are the same.
inline constexpr std::uint32_t spi_multiplier = 0x9e37'79b1;
constexpr std::uint32_t spi_of(std::uint32_t sa) {
  return (sa + 1) * spi_multiplier;
}
constexpr std::uint32_t sa_of(std::uint32_t spi) {
  std::uint32_t inverse = spi_multiplier;
  for (int i = 0; i < 5; ++i) inverse *= 2 - spi_multiplier * inverse;
  return spi * inverse - 1;
}
static_assert(sa_of(spi_of(123'456)) == 123'456);
inline constexpr std::uint32_t first_unknown_sa = 1u << 24;  // nobody's SPIs begin here

// Each SA's peer, 100.64.0.0/10, and the network behind it: a /24 of 10/8, or a /28 where there are more
// SAs than that has.
inline constexpr std::uint32_t gateway_address = 0xc000'0201;  // 192.0.2.1
inline constexpr std::uint32_t local_network = 0xac10'0000;    // 172.16.0.0/16
constexpr std::uint32_t peer_of(std::uint32_t sa) {
  return 0x6440'0000 + sa;
}
constexpr std::uint8_t remote_prefix_length(std::uint32_t sas) {
  return sas <= 65'536 ? 24 : 28;
}
constexpr std::uint32_t remote_network_of(std::uint32_t sa, std::uint32_t sas) {
  return 0x0a00'0000 + (sa << (32 - remote_prefix_length(sas)));
}
constexpr std::uint32_t remote_host_of(std::uint32_t sa, std::uint32_t sas) {
  return remote_network_of(sa, sas) + 5;
}

}  // namespace espgate::bench
