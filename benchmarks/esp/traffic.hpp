// The frames of one load, in a random order over the SAs, as a pcap that a net_pcap port reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/plan.hpp"

namespace espgate::bench {

class Traffic {
 public:
  Traffic(const Scene& scene, const Load& load, Gateway& gateway);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  struct Frame {
    std::uint32_t sa;                                             // its number in the scene
    std::uint32_t inner_bytes;                                    // IP packet inside the tunnel
    std::uint32_t text_bytes(const crypto::Suite& suite) const {  // with the ESP trailer
      const auto mask = suite.align_bytes - 1u;
      return (inner_bytes + 2 + mask) & ~mask;
    }
  };
  std::span<const Frame> frames() const { return frames_; }
  double mean_inner_bytes() const;
  std::size_t most_frames_of_an_sa() const { return most_frames_of_an_sa_; }
  // The file exists in memory only, and as long as this object.
  std::string pcap_path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  void order_frames(const Scene& scene, const Load& load);
  void write_pcap(const Scene& scene, const Load& load, Gateway& gateway);

  int file_;
  std::vector<Frame> frames_;
  std::size_t most_frames_of_an_sa_ = 1;
};

// Whether `packet` is an inner packet of the benchmark that has been forwarded once: its length, TTL and
// checksum, and every byte of its payload.
bool is_forwarded_inner_packet(std::span<const std::uint8_t> packet);

}  // namespace espgate::bench
