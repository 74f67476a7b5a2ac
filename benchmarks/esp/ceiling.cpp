#include "benchmarks/esp/ceiling.hpp"

#include <intel-ipsec-mb.h>
#include <rte_cycles.h>
#include <rte_malloc.h>

#include <memory>

#include "drivers/crypto/ipsec_mb_gcm.hpp"

namespace espgate::bench {
namespace {

// As many as the worker's bursts use again and again.
constexpr std::size_t text_count = burst_packets;
constexpr std::size_t text_stride = largest_inner_bytes / 64 * 64 + 3 * 64;

struct Operation {
  crypto::PreparedKey key;
  std::uint32_t text_bytes;
};

}  // namespace

Distribution measure_ceiling(const Scene& scene, const Load& load, const Traffic& traffic, Gateway& gateway,
                             unsigned runs) {
  const std::unique_ptr<IMB_MGR, void (*)(IMB_MGR*)> manager(alloc_mb_mgr(0), free_mb_mgr);
  if (!manager) throw Failure("no memory for IPsec-MB's manager");
  init_mb_mgr_auto(manager.get(), nullptr);
  const auto calls = crypto::gcm_table(*manager)[static_cast<std::size_t>(suite_id)];
  const auto call = scene.direction == Direction::inbound ? calls.open : calls.seal;

  std::vector<Operation> operations;
  for (const auto& frame : traffic.frames())
    operations.push_back({gateway.sas()[frame.sa].key, frame.text_bytes()});
  const std::unique_ptr<std::uint8_t, void (*)(void*)> texts(
      static_cast<std::uint8_t*>(rte_zmalloc("texts", text_count * text_stride, 64)), rte_free);
  if (!texts) throw Failure("no memory for the texts");

  std::size_t at = 0;
  return Runs(runs).measure([&] {
    gcm_context_data context;
    alignas(64) std::uint8_t nonce[12] = {}, aad[12] = {}, icv[16];
    const auto begin = rte_rdtsc();
    for (std::size_t i = 0; i < load.run_packets(); ++i) {
      const auto& [key, text_bytes] = operations[at];
      if (++at == operations.size()) at = 0;
      auto* text = texts.get() + i % text_count * text_stride;
      call(crypto::key_data(key), &context, text, text, text_bytes, nonce, aad, 8, icv, sizeof icv);
    }
    return static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(load.run_packets());
  });
}

}  // namespace espgate::bench
