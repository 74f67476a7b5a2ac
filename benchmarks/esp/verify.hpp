// Proof that the worker does the whole job: looks at each frame as it leaves.
#pragma once

#include <cstdint>

#include "benchmarks/esp/gateway.hpp"

struct rte_eth_rxtx_callback;
struct rte_mbuf;

namespace espgate::bench {

// While it lives, every frame sent to `ethdev` is examined: a decrypted packet byte by byte, an encrypted
// one after opening it with its SA's key. Much slower than the worker, so not for timed runs.
class Verifier {
 public:
  Verifier(const Scene& scene, Gateway& gateway, std::uint16_t ethdev);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  std::uint64_t good() const { return good_; }

 private:
  static std::uint16_t examine_burst(std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count,
                                     void* self);
  bool is_good(rte_mbuf& frame);
  bool opens(std::span<std::uint8_t> packet);

  const Scene& scene_;
  Gateway& gateway_;
  std::uint16_t ethdev_;
  const rte_eth_rxtx_callback* callback_;
  std::uint64_t good_ = 0;
};

}  // namespace espgate::bench
