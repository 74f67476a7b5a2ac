#include "drivers/crypto/ipsec_mb_queue.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "datapath/net/headers.hpp"
#include "drivers/crypto/compare.hpp"

namespace espgate::crypto {
namespace {

constexpr std::size_t gcm_icv_bytes = 16;
constexpr std::size_t gcm_suites = 3;  // the first rows of the suite table
static_assert(suite_table[gcm_suites - 1].cipher == Cipher::aes_gcm_16 &&
              suite_table[gcm_suites].cipher != Cipher::aes_gcm_16);

// Brings what an operation will read into the cache while others are at work. With 65,536 keys in random
// order this halves the cost of a packet of 512 bytes or more. `previous` is the operation before it.
// Forced inline: gcc takes a function of prefetches alone for one without effect and drops its calls.
[[gnu::always_inline]] inline void prefetch(const Lanes& lanes, const Operation& op, PreparedKey previous) {
  const auto suite = index_of(op.suite);
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

}  // namespace

IpsecMbQueue::IpsecMbQueue(const Lanes& lanes, Manager manager, std::optional<LibraryImage> image,
                           std::unique_ptr<Queue> substitute)
    : lanes_(lanes), image_(std::move(image)), jobs_(std::move(manager)), substitute_(std::move(substitute)) {
  if (!image_) return;
  move_calls(jobs_.manager(), *image_);
  for (auto& lane : lanes_) {
    lane.seal = image_->translate(lane.seal);
    lane.open = image_->translate(lane.open);
  }
}

IpsecMbQueue::~IpsecMbQueue() {
  OPENSSL_cleanse(&context_, sizeof context_);
}

void IpsecMbQueue::seal(std::span<Operation> burst) {
  for_each(burst, Direction::seal, [this](const Lane& lane, Operation& op) {
    lane.seal(key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes,
              op.icv(), gcm_icv_bytes);
    return Status::ok;
  });
}

void IpsecMbQueue::open(std::span<Operation> burst) {
  for_each(burst, Direction::open, [this](const Lane& lane, Operation& op) {
    alignas(16) std::uint8_t icv[gcm_icv_bytes];
    lane.open(key_data(op.key), &context_, op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes,
              icv, gcm_icv_bytes);
    return compare_icv(icv, op.icv(), gcm_icv_bytes);
  });
}

template <typename Gcm>
void IpsecMbQueue::for_each(std::span<Operation> burst, Direction direction, Gcm gcm) {
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
    const auto suite = index_of(op.suite);
    if (suite < gcm_suites) [[likely]]
      op.status = gcm(lanes_[suite], op);
    else
      set_aside(op, direction);
  }
  if (other_count_ != 0) finish_others(direction);
}

void IpsecMbQueue::set_aside(Operation& op, Direction direction) {
  op.status = Status::failed;
  if (index_of(op.suite) >= suite_count) return;
  const auto& row = suite(op.suite);
  if (row.cipher == Cipher::aes_gmac) {
    gmac(op, direction);
  } else if (!has_job(row)) {
    direction == Direction::seal ? substitute_->seal({&op, 1}) : substitute_->open({&op, 1});
  } else {
    others_[other_count_++] = &op;
    if (other_count_ == others_.size()) finish_others(direction);
  }
}

void IpsecMbQueue::finish_others(Direction direction) {
  jobs_.run({others_.data(), std::exchange(other_count_, 0)}, direction);
}

// GMAC is GCM of an empty text, whose AAD is the packet from its ESP header to its text (RFC 4543 3.3). The
// high half of an extended sequence number belongs into the middle, so then it is done in parts.
void IpsecMbQueue::gmac(Operation& op, Direction direction) {
  const auto& row = suite(op.suite);
  const auto* const key = key_data(op.key);
  const auto* const iv = op.text - row.iv_bytes;
  alignas(16) std::uint8_t icv[gcm_icv_bytes];
  if (op.aad_bytes != 12) {
    lanes_[index_of(op.suite)].seal(key, &context_, nullptr, nullptr, 0, op.nonce, iv - net::esp_header_bytes,
                                    net::esp_header_bytes + row.iv_bytes + op.text_bytes, icv, sizeof icv);
  } else {
    const auto calls = gmac_table(jobs_.manager())[gcm_index(row)];
    calls.begin(key, &context_, op.nonce, sizeof op.nonce);
    calls.add(key, &context_, op.aad, op.aad_bytes);
    calls.add(key, &context_, iv, std::uint64_t{row.iv_bytes} + op.text_bytes);
    calls.end(key, &context_, icv, sizeof icv);
  }
  if (direction == Direction::seal) {
    std::memcpy(op.icv(), icv, sizeof icv);
    op.status = Status::ok;
  } else {
    op.status = compare_icv(icv, op.icv(), sizeof icv);
  }
}

}  // namespace espgate::crypto
