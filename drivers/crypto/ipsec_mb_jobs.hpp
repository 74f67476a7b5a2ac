// Everything that IPsec-MB does by its multi-buffer job interface: AES-CBC, AES-CTR and the null cipher with
// HMAC, AES-CCM; and ChaCha20-Poly1305, whose job is faster than its direct calls.
//
// Packets of a burst fill the lanes of a cipher or hash side by side, so that one instruction works on up to
// 16 packets. Jobs are flushed before seal() or open() returns: no packet waits for another burst.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <span>

#include "datapath/crypto/engine.hpp"
#include "drivers/crypto/ipsec_mb_manager.hpp"
#include "drivers/crypto/key_layout.hpp"

namespace espgate::crypto {

enum class Direction : std::uint8_t { seal, open };

// Whether the jobs of this library know the suite. They know no AES-192-CCM.
constexpr bool has_job(const Suite& suite) {
  switch (suite.cipher) {
    case Cipher::aes_gcm_16:
    case Cipher::aes_gmac:
      return false;
    case Cipher::aes_ccm_16:
      return suite.key_bytes != 24;
    default:
      return true;
  }
}

// A prepared key of such a suite: HMAC's two inner states, then the cipher's round keys of both directions.
KeyLayout job_key_layout(const Suite& suite);
void prepare_job_key(const IMB_MGR& manager, const Suite& suite, std::span<const std::uint8_t> keymat,
                     std::byte* out);

// Fills a job with an operation; the library writes the ICV it computed to `icv`. For what the queue and
// benchmarks submit themselves.
void fill_job(IMB_JOB& job, const Operation& operation, Direction direction, std::uint8_t* icv);

// One worker's jobs. Never allocates once made.
class Jobs {
 public:
  static constexpr std::size_t most = 64;  // operations at once; the library's limit is 128

  explicit Jobs(Manager manager) : manager_(std::move(manager)) {}
  IMB_MGR& manager() { return *manager_; }

  // At most `most` operations of suites that have jobs. Each has its status afterwards.
  void run(std::span<Operation* const> operations, Direction direction);

 private:
  void finish(Operation& operation, const IMB_JOB& job, std::size_t lane, Direction direction);

  struct alignas(64) Icv {
    std::uint8_t bytes[64];
  };
  Manager manager_;
  std::array<Icv, most> icvs_;  // open: what the packets' ICVs should be
  std::array<std::uint32_t, most>
      first_word_;  // open: of an ICV in whose place the sequence number's half lies
};

}  // namespace espgate::crypto
