// The least that packets can cost: IPsec-MB's own calls, one after the other and nothing else. No prefetch,
// no check of the ICV; jobs of multi-buffer suites keep all lanes full, and none is ever flushed.
#pragma once

#include <intel-ipsec-mb.h>

#include <span>

#include "drivers/crypto/ipsec_mb_gcm.hpp"
#include "drivers/crypto/ipsec_mb_jobs.hpp"

namespace espgate::bench {

class RawIpsecMb {
 public:
  // Aborts where IPsec-MB does not run: then there is nothing to compare with.
  RawIpsecMb();
  ~RawIpsecMb();

  static bool knows(const crypto::Suite& suite);
  // All operations are of one suite, and last until the next call but one.
  void run(std::span<crypto::Operation> operations, crypto::Direction direction);

 private:
  void run_gcm(std::span<crypto::Operation> operations, crypto::Direction direction);
  void run_gmac(std::span<crypto::Operation> operations);
  void run_jobs(std::span<crypto::Operation> operations, crypto::Direction direction);

  crypto::Manager manager_;
  crypto::GcmTable gcm_;
  gcm_context_data context_;
  alignas(64) std::uint8_t icv_[64];
};

}  // namespace espgate::bench
