#include "drivers/crypto/ipsec_mb_engine.hpp"

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <cstring>
#include <optional>
#include <string>

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

class IpsecMbQueue final : public Queue {
 public:
  IpsecMbQueue(const GcmTable& table, std::optional<LibraryImage> image) : image_(std::move(image)) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      seal_[i] = image_ ? image_->translate(table[i].seal) : table[i].seal;
      open_[i] = image_ ? image_->translate(table[i].open) : table[i].open;
    }
  }
  ~IpsecMbQueue() override { OPENSSL_cleanse(&context_, sizeof context_); }

  void seal(std::span<Operation> burst) override {
    for (auto& op : burst) {
      const auto call = index(op);
      if (call >= seal_.size()) [[unlikely]] {
        op.status = Status::failed;
        continue;
      }
      seal_[call](key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad,
                  op.aad_bytes, op.icv, icv_bytes);
      op.status = Status::ok;
    }
  }

  void open(std::span<Operation> burst) override {
    alignas(16) std::uint8_t icv[icv_bytes];
    for (auto& op : burst) {
      const auto call = index(op);
      if (call >= open_.size()) [[unlikely]] {
        op.status = Status::failed;
        continue;
      }
      open_[call](key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad,
                  op.aad_bytes, icv, icv_bytes);
      op.status = compare(icv, op.icv);
    }
  }

 private:
  static std::size_t index(const Operation& op) { return static_cast<std::size_t>(op.suite); }

  // All 16 bytes, whatever the first ones say, and no branch on the outcome.
  static Status compare(const std::uint8_t* ours, const std::uint8_t* theirs) {
    std::uint64_t a[2], b[2];
    std::memcpy(a, ours, sizeof a);
    std::memcpy(b, theirs, sizeof b);
    static_assert(static_cast<int>(Status::ok) == 0 && static_cast<int>(Status::bad_icv) == 1);
    return static_cast<Status>(((a[0] ^ b[0]) | (a[1] ^ b[1])) != 0);
  }

  std::array<aes_gcm_enc_dec_t, 3> seal_;
  std::array<aes_gcm_enc_dec_t, 3> open_;
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
      : manager_(std::move(manager)), implementation_(describe(*manager_)), table_(gcm_table(*manager_)) {
    for (std::size_t i = 0; i < table_.size(); ++i) layouts_[i] = measure_key_layout(table_[i]);
  }

  std::string_view name() const override { return "ipsec-mb"; }
  std::string_view implementation() const override { return implementation_; }
  std::size_t prepared_key_bytes(SuiteId suite) const override { return layout(suite).bytes; }
  std::span<const std::uint16_t> hot_key_lines(SuiteId suite) const override {
    return layout(suite).hot_lines;
  }

  Expected<void> prepare_key(SuiteId id, std::span<const std::uint8_t> key, std::byte* out) override {
    if (auto good = check_key(id, key); !good) return good;
    std::memset(out, 0, prepared_key_bytes(id));
    table_[static_cast<std::size_t>(id)].prepare(key.data(), key_data(out));
    return {};
  }

  Expected<std::unique_ptr<Queue>> make_queue() override {
    std::optional<LibraryImage> image;
    if (queues_made_ > 0 && imb_get_version() < first_release_without_shared_writes) {
      auto made = LibraryImage::of(reinterpret_cast<const void*>(table_[0].open));
      if (!made) return made.error();
      image.emplace(std::move(*made));
    }
    ++queues_made_;
    return std::unique_ptr<Queue>(std::make_unique<IpsecMbQueue>(table_, std::move(image)));
  }

 private:
  const KeyLayout& layout(SuiteId suite) const { return layouts_[static_cast<std::size_t>(suite)]; }

  Manager manager_;
  std::string implementation_;
  GcmTable table_;
  std::array<KeyLayout, 3> layouts_;
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
