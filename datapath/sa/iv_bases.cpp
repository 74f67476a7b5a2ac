#include "datapath/sa/iv_bases.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace espgate::sa {

std::uint64_t IvBases::take(std::span<const std::uint8_t> keymat, std::uint64_t unix_seconds) {
  if (unix_seconds > now_s_) {
    now_s_ = unix_seconds;
    std::erase_if(last_second_, [this](const auto& entry) { return entry.second < now_s_; });
  }
  Digest digest;
  SHA256(keymat.data(), keymat.size(), digest.data());
  const auto [entry, is_first] = last_second_.try_emplace(digest, now_s_);
  if (!is_first) ++entry->second;
  return entry->second << 32;
}

}  // namespace espgate::sa
