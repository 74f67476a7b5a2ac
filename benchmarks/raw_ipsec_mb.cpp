#include "benchmarks/raw_ipsec_mb.hpp"

#include <cstdlib>
#include <utility>

namespace espgate::bench {
namespace {

constexpr std::size_t gcm_icv_bytes = 16;
constexpr std::size_t gmac_headers_bytes = 8 + 8;  // ESP header and IV

crypto::Manager must_make_manager() {
  auto manager = crypto::make_manager(crypto::InstructionSet::best);
  if (!manager) std::abort();
  return std::move(*manager);
}

}  // namespace

RawIpsecMb::RawIpsecMb() : manager_(must_make_manager()), gcm_(crypto::gcm_table(*manager_)) {}

RawIpsecMb::~RawIpsecMb() {
  while (manager_->flush_job(manager_.get()) != nullptr) {
  }
}

bool RawIpsecMb::knows(const crypto::Suite& suite) {
  return suite.cipher == crypto::Cipher::aes_gcm_16 || suite.cipher == crypto::Cipher::aes_gmac ||
         crypto::has_job(suite);
}

void RawIpsecMb::run(std::span<crypto::Operation> operations, crypto::Direction direction) {
  if (operations.empty()) return;
  switch (crypto::suite(operations[0].suite).cipher) {
    case crypto::Cipher::aes_gcm_16:
      return run_gcm(operations, direction);
    case crypto::Cipher::aes_gmac:
      return run_gmac(operations);
    default:
      return run_jobs(operations, direction);
  }
}

void RawIpsecMb::run_gcm(std::span<crypto::Operation> operations, crypto::Direction direction) {
  const auto& calls = gcm_[crypto::gcm_index(crypto::suite(operations[0].suite))];
  const auto call = direction == crypto::Direction::seal ? calls.seal : calls.open;
  for (const auto& op : operations)
    call(crypto::key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes,
         icv_, gcm_icv_bytes);
}

void RawIpsecMb::run_gmac(std::span<crypto::Operation> operations) {
  const auto call = gcm_[crypto::gcm_index(crypto::suite(operations[0].suite))].seal;
  for (const auto& op : operations)
    call(crypto::key_data(op.key), &context_, nullptr, nullptr, 0, op.nonce, op.text - gmac_headers_bytes,
         gmac_headers_bytes + op.text_bytes, icv_, gcm_icv_bytes);
}

void RawIpsecMb::run_jobs(std::span<crypto::Operation> operations, crypto::Direction direction) {
  auto* const manager = manager_.get();
  for (const auto& op : operations) {
    crypto::fill_job(*manager->get_next_job(manager), op, direction, icv_);
    for (auto* done = manager->submit_job_nocheck(manager); done != nullptr;)
      done = manager->get_completed_job(manager);
  }
}

}  // namespace espgate::bench
