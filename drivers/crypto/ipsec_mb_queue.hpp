// One worker's half of the IPsec-MB engine.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "datapath/crypto/engine.hpp"
#include "drivers/crypto/ipsec_mb_gcm.hpp"
#include "drivers/crypto/ipsec_mb_jobs.hpp"
#include "drivers/crypto/library_image.hpp"

namespace espgate::crypto {

// What one suite's packets need at work.
struct Lane {
  aes_gcm_enc_dec_t seal;  // GCM and GMAC only
  aes_gcm_enc_dec_t open;
  KeyLayout layout;
};
using Lanes = std::array<Lane, suite_count>;  // indexed by SuiteId

// AES-GCM is done packet by packet on the way through the burst; all other suites' packets are set aside
// until then, and go through the multi-buffer jobs together.
class IpsecMbQueue final : public Queue {
 public:
  // `manager` is this queue's alone. `image`: a private copy of the library to run. `substitute` does what
  // the library cannot.
  IpsecMbQueue(const Lanes& lanes, Manager manager, std::optional<LibraryImage> image,
               std::unique_ptr<Queue> substitute);
  ~IpsecMbQueue() override;

  void seal(std::span<Operation> burst) override;
  void open(std::span<Operation> burst) override;

 private:
  static constexpr std::size_t prefetch_distance = 3;  // operations

  template <typename Gcm>
  void for_each(std::span<Operation> burst, Direction direction, Gcm gcm);
  void set_aside(Operation& operation, Direction direction);
  void finish_others(Direction direction);
  void gmac(Operation& operation, Direction direction);

  Lanes lanes_;
  alignas(64) gcm_context_data context_;  // scratch of one call
  std::array<Operation*, Jobs::most> others_;
  std::size_t other_count_ = 0;
  std::optional<LibraryImage> image_;
  Jobs jobs_;
  std::unique_ptr<Queue> substitute_;
};

}  // namespace espgate::crypto
