#include "drivers/crypto/ipsec_mb_engine.hpp"

#include <intel-ipsec-mb.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/crypto/ipsec_mb_gcm.hpp"
#include "drivers/crypto/ipsec_mb_jobs.hpp"
#include "drivers/crypto/ipsec_mb_queue.hpp"
#include "drivers/crypto/key_check.hpp"
#include "drivers/crypto/library_image.hpp"
#include "drivers/crypto/openssl_engine.hpp"

namespace espgate::crypto {
namespace {

// The first release whose direct calls leave the process-wide error variable alone.
constexpr unsigned first_release_without_shared_writes = IMB_VERSION(1, 4, 0);

constexpr bool is_gcm(const Suite& suite) {
  return suite.cipher == Cipher::aes_gcm_16 || suite.cipher == Cipher::aes_gmac;
}

class IpsecMbEngine final : public Engine {
 public:
  IpsecMbEngine(InstructionSet instructions, Manager manager, std::unique_ptr<Engine> substitute)
      : instructions_(instructions),
        manager_(std::move(manager)),
        substitute_(std::move(substitute)),
        implementation_(describe(*manager_)),
        gcm_(gcm_table(*manager_)) {
    std::array<KeyLayout, std::tuple_size_v<GcmTable>> gcm_layouts;
    for (std::size_t i = 0; i < gcm_.size(); ++i) gcm_layouts[i] = measure_key_layout(gcm_[i]);
    for (const auto& suite : suites()) {
      const auto i = index_of(suite.id);
      if (is_gcm(suite)) {
        const auto& calls = gcm_[gcm_index(suite)];
        lanes_[i] = {calls.seal, calls.open, gcm_layouts[gcm_index(suite)]};
      } else {
        lanes_[i] = {
            nullptr, nullptr,
            has_job(suite) ? job_key_layout(suite) : whole_key(substitute_->prepared_key_bytes(suite.id))};
      }
      const auto& layout = lanes_[i].layout;
      for (const auto& line : std::span(layout.lines).first(layout.line_count))
        if (line.from_text_bytes <= short_text_bytes) hot_lines_[i].push_back(line.offset);
    }
  }

  std::string_view name() const override { return "ipsec-mb"; }
  std::string_view implementation() const override { return implementation_; }
  std::string library() const override { return std::string("IPsec-MB ") + imb_get_version_str(); }
  std::size_t prepared_key_bytes(SuiteId suite) const override {
    return lanes_[index_of(suite)].layout.bytes;
  }
  std::span<const std::uint16_t> hot_key_lines(SuiteId suite) const override {
    return hot_lines_[index_of(suite)];
  }

  Expected<void> prepare_key(SuiteId id, std::span<const std::uint8_t> keymat, std::byte* out) override {
    if (auto good = check_keymat(id, keymat); !good) return good;
    const auto& row = suite(id);
    if (!is_gcm(row) && !has_job(row)) return substitute_->prepare_key(id, keymat, out);
    if (is_gcm(row)) {
      std::memset(out, 0, prepared_key_bytes(id));
      gcm_[gcm_index(row)].prepare(keymat.data(), key_data(out));
    } else {
      prepare_job_key(*manager_, row, keymat, out);
    }
    return {};
  }

  Expected<std::unique_ptr<Queue>> make_queue() override {
    std::optional<LibraryImage> image;
    if (queues_made_ > 0 && imb_get_version() < first_release_without_shared_writes) {
      auto made = LibraryImage::of(reinterpret_cast<const void*>(gcm_[0].open));
      if (!made) return made.error();
      image.emplace(std::move(*made));
    }
    auto manager = make_manager(instructions_);
    if (!manager) return manager.error();
    auto substitute = substitute_->make_queue();
    if (!substitute) return substitute.error();
    ++queues_made_;
    return std::unique_ptr<Queue>(std::make_unique<IpsecMbQueue>(lanes_, std::move(*manager),
                                                                 std::move(image), std::move(*substitute)));
  }

 private:
  InstructionSet instructions_;
  Manager manager_;
  std::unique_ptr<Engine> substitute_;
  std::string implementation_;
  GcmTable gcm_;
  Lanes lanes_{};
  std::array<std::vector<std::uint16_t>, suite_count> hot_lines_;
  unsigned queues_made_ = 0;  // the first has the library itself, the others an image each
};

}  // namespace

Expected<std::unique_ptr<Engine>> make_ipsec_mb_engine(InstructionSet instructions) {
  auto manager = make_manager(instructions);
  if (!manager) return manager.error();
  auto substitute = make_openssl_engine();
  if (!substitute) return substitute.error();
  return std::unique_ptr<Engine>(
      std::make_unique<IpsecMbEngine>(instructions, std::move(*manager), std::move(*substitute)));
}

}  // namespace espgate::crypto
