#include "drivers/crypto/ipsec_mb_engine.hpp"

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "drivers/crypto/ipsec_mb_gcm.hpp"
#include "drivers/crypto/key_check.hpp"
#include "drivers/crypto/library_image.hpp"

namespace espgate::crypto {
namespace {

constexpr std::size_t icv_bytes = 16;
// The first release whose direct calls leave the process-wide error variable alone.
constexpr unsigned first_release_without_shared_writes = IMB_VERSION(1, 4, 0);

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

// What one suite's packets need at work.
struct Lane {
  aes_gcm_enc_dec_t seal;
  aes_gcm_enc_dec_t open;
  KeyLayout layout;
};
using Lanes = std::array<Lane, 3>;  // indexed by SuiteId

// Brings what an operation will read into the cache while others are at work. With 65,536 keys in random
// order this halves the cost of a packet of 512 bytes or more. `previous` is the operation before it.
// Forced inline: gcc takes a function of prefetches alone for one without effect and drops its calls.
[[gnu::always_inline]] inline void prefetch(const Lanes& lanes, const Operation& op, PreparedKey previous) {
  const auto suite = static_cast<std::size_t>(op.suite);
  if (op.key != previous && suite < lanes.size()) {
    const auto& layout = lanes[suite].layout;
    for (std::size_t i = 0; i < layout.line_count; ++i) {
      if (layout.lines[i].from_text_bytes > op.text_bytes) break;
      __builtin_prefetch(op.key + layout.lines[i].offset);
    }
  }
  // The first line came with the headers; behind these the hardware's own prefetcher has caught on.
  constexpr std::uint32_t most_text_bytes = 640;
  const auto text_bytes = std::min(op.text_bytes, most_text_bytes);
  for (std::uint32_t i = 64; i < text_bytes; i += 64) __builtin_prefetch(op.text + i);
}

class IpsecMbQueue final : public Queue {
 public:
  IpsecMbQueue(const Lanes& lanes, std::optional<LibraryImage> image)
      : lanes_(lanes), image_(std::move(image)) {
    if (!image_) return;
    for (auto& lane : lanes_) {
      lane.seal = image_->translate(lane.seal);
      lane.open = image_->translate(lane.open);
    }
  }
  ~IpsecMbQueue() override { OPENSSL_cleanse(&context_, sizeof context_); }

  void seal(std::span<Operation> burst) override {
    for_each(burst, [this](const Lane& lane, Operation& op) {
      lane.seal(key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes,
                op.icv, icv_bytes);
      return Status::ok;
    });
  }

  void open(std::span<Operation> burst) override {
    for_each(burst, [this](const Lane& lane, Operation& op) {
      alignas(16) std::uint8_t icv[icv_bytes];
      lane.open(key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes,
                icv, icv_bytes);
      return compare(icv, op.icv);
    });
  }

 private:
  static constexpr std::size_t prefetch_distance = 3;  // operations

  template <typename Work>
  void for_each(std::span<Operation> burst, Work work) {
    PreparedKey previous = nullptr;
    const auto look_at = [&](std::size_t i) {
      if (i >= burst.size()) return;
      prefetch(lanes_, burst[i], previous);
      previous = burst[i].key;
    };
    for (std::size_t i = 0; i < prefetch_distance; ++i) look_at(i);
    for (std::size_t i = 0; i < burst.size(); ++i) {
      look_at(i + prefetch_distance);
      auto& op = burst[i];
      const auto suite = static_cast<std::size_t>(op.suite);
      op.status = suite < lanes_.size() ? work(lanes_[suite], op) : Status::failed;
    }
  }

  // All 16 bytes, whatever the first ones say, and no branch on the outcome.
  static Status compare(const std::uint8_t* ours, const std::uint8_t* theirs) {
    std::uint64_t a[2], b[2];
    std::memcpy(a, ours, sizeof a);
    std::memcpy(b, theirs, sizeof b);
    static_assert(static_cast<int>(Status::ok) == 0 && static_cast<int>(Status::bad_icv) == 1);
    return static_cast<Status>(((a[0] ^ b[0]) | (a[1] ^ b[1])) != 0);
  }

  Lanes lanes_;
  alignas(64) gcm_context_data context_;  // scratch of one call
  std::optional<LibraryImage> image_;
};

std::string describe(const IMB_MGR& manager) {
  switch (manager.used_arch) {
    case IMB_ARCH_SSE:
      return "sse";
    case IMB_ARCH_AVX:
      return "avx";
    case IMB_ARCH_AVX2:
      return "avx2";
    case IMB_ARCH_AVX512:
      return (manager.features & IMB_CPUFLAGS_AVX512_T2) == IMB_CPUFLAGS_AVX512_T2 ? "avx512-vaes" : "avx512";
    default:
      return "unknown";
  }
}

class IpsecMbEngine final : public Engine {
 public:
  explicit IpsecMbEngine(Manager manager)
      : manager_(std::move(manager)), implementation_(describe(*manager_)), calls_(gcm_table(*manager_)) {
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      const auto layout = measure_key_layout(calls_[i]);
      lanes_[i] = {calls_[i].seal, calls_[i].open, layout};
      for (const auto& line : std::span(layout.lines).first(layout.line_count))
        if (line.from_text_bytes <= short_text_bytes) hot_lines_[i].push_back(line.offset);
    }
  }

  std::string_view name() const override { return "ipsec-mb"; }
  std::string_view implementation() const override { return implementation_; }
  std::string library() const override { return std::string("IPsec-MB ") + imb_get_version_str(); }
  std::size_t prepared_key_bytes(SuiteId suite) const override { return lanes_[index(suite)].layout.bytes; }
  std::span<const std::uint16_t> hot_key_lines(SuiteId suite) const override {
    return hot_lines_[index(suite)];
  }

  Expected<void> prepare_key(SuiteId suite, std::span<const std::uint8_t> key, std::byte* out) override {
    if (auto good = check_key(suite, key); !good) return good;
    std::memset(out, 0, prepared_key_bytes(suite));
    calls_[index(suite)].prepare(key.data(), key_data(out));
    return {};
  }

  Expected<std::unique_ptr<Queue>> make_queue() override {
    std::optional<LibraryImage> image;
    if (queues_made_ > 0 && imb_get_version() < first_release_without_shared_writes) {
      auto made = LibraryImage::of(reinterpret_cast<const void*>(calls_[0].open));
      if (!made) return made.error();
      image.emplace(std::move(*made));
    }
    ++queues_made_;
    return std::unique_ptr<Queue>(std::make_unique<IpsecMbQueue>(lanes_, std::move(image)));
  }

 private:
  static std::size_t index(SuiteId suite) { return static_cast<std::size_t>(suite); }

  Manager manager_;
  std::string implementation_;
  GcmTable calls_;
  Lanes lanes_;
  std::array<std::vector<std::uint16_t>, 3> hot_lines_;
  unsigned queues_made_ = 0;  // the first has the library itself, the others an image each
};

void initialise(IMB_MGR* manager, InstructionSet instructions) {
  switch (instructions) {
    case InstructionSet::best:
      return init_mb_mgr_auto(manager, nullptr);
    case InstructionSet::sse:
      return init_mb_mgr_sse(manager);
    case InstructionSet::avx:
      return init_mb_mgr_avx(manager);
    case InstructionSet::avx2:
      return init_mb_mgr_avx2(manager);
    case InstructionSet::avx512:
    case InstructionSet::avx512_vaes:
      return init_mb_mgr_avx512(manager);
  }
}

}  // namespace

Expected<std::unique_ptr<Engine>> make_ipsec_mb_engine(InstructionSet instructions) {
  // Without SHA extensions the library does not take the processor for one with VAES.
  Manager manager(alloc_mb_mgr(instructions == InstructionSet::avx512 ? IMB_FLAG_SHANI_OFF : 0));
  if (!manager) return Error{"IPsec-MB cannot allocate its manager", "free some memory and start again"};
  // Without these the library would emulate them in software, at a hundredth of the speed.
  constexpr auto needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
  if ((manager->features & needed) != needed)
    return Error{"this processor, or the virtual machine's model of it, lacks AES-NI or PCLMULQDQ",
                 "expose them to the virtual machine, or set crypto-engine = \"openssl\""};
  initialise(manager.get(), instructions);
  if (const int error = imb_get_errno(manager.get()); error != 0)
    return Error{std::string("IPsec-MB does not start on this processor: ") + imb_get_strerror(error),
                 "set crypto-engine = \"openssl\""};
  if ((manager->features & IMB_FEATURE_SELF_TEST) && !(manager->features & IMB_FEATURE_SELF_TEST_PASS))
    return Error{"IPsec-MB failed its own self-test",
                 "reinstall libipsec-mb, or set crypto-engine = \"openssl\""};
  return std::unique_ptr<Engine>(std::make_unique<IpsecMbEngine>(std::move(manager)));
}

}  // namespace espgate::crypto
