#include "datapath/sa/iv_bases.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace espgate::sa {
namespace {

// In 2^-32 s.
template <typename Clock>
std::uint64_t read() {
  constexpr std::uint64_t second_ns = 1'000'000'000;
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch());
  const auto ns = static_cast<std::uint64_t>(time.count());
  return (ns / second_ns << 32) + ((ns % second_ns << 32) / second_ns);
}

// Gives the SA its last sequence number. Returns the IV that it will not go beyond.
std::uint64_t stop(OutboundSa& sa) {
  const auto used = sa.sequence.load(std::memory_order_relaxed);
  const auto limit = sa.sequence_limit.load(std::memory_order_relaxed);
  const auto last = used < limit ? used + std::min(IvBases::handover_packets, limit - used) : limit;
  sa.sequence_limit.store(last, std::memory_order_seq_cst);
  // A worker that has read the limit before may take one run of numbers yet, from where `sequence` is now:
  // what adding nothing finds, which no later store comes before.
  const auto now = sa.sequence.fetch_add(0, std::memory_order_seq_cst);
  return sa.iv_base + std::max(last, now) + IvBases::handover_packets;
}

}  // namespace

IvBases::IvBases(const FixedArray<OutboundSa>& sas, std::uint32_t count)
    : sas_(sas), start_(read<std::chrono::system_clock>()), user_of_(count, users_.end()) {
  start_ -= read<std::chrono::steady_clock>();  // the later of the two: what it is late by keeps bases back
}

std::uint64_t IvBases::now() const {
  return start_ + read<std::chrono::steady_clock>();
}

std::uint64_t IvBases::take(std::uint32_t index, std::span<const std::uint8_t> keymat) {
  DigestInput key;
  key.add_raw(keymat);
  const auto [user, is_only] = users_.try_emplace(key.digest(), index);
  user_of_[index] = user;
  if (is_only) return now();
  const auto before = std::exchange(user->second, index);
  user_of_[before] = users_.end();
  const auto end = stop(sas_[before]);
  while (now() <= end) std::this_thread::yield();
  return now();
}

void IvBases::forget(std::uint32_t index) {
  const auto user = std::exchange(user_of_[index], users_.end());
  if (user != users_.end()) users_.erase(user);
}

}  // namespace espgate::sa
