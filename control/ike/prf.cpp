#include "control/ike/prf.hpp"

#include <algorithm>
#include <cassert>

#include "control/ike/hmac.hpp"

namespace espgate::ike {
namespace {

struct Row {
  Prf prf;
  const char* digest;
  std::size_t bytes;
};
constexpr Row rows[] = {
    {Prf::hmac_sha2_256, "SHA2-256", 32},
    {Prf::hmac_sha2_384, "SHA2-384", 48},
    {Prf::hmac_sha2_512, "SHA2-512", 64},
};

const Row& row(Prf prf) {
  return *std::ranges::find(rows, prf, &Row::prf);
}

}  // namespace

std::optional<Prf> find_prf(std::uint16_t id) {
  const auto found = std::ranges::find(rows, Prf{id}, &Row::prf);
  if (found == std::end(rows)) return {};
  return found->prf;
}

std::size_t prf_bytes(Prf prf) {
  return row(prf).bytes;
}

Secret compute(Prf prf, std::span<const std::uint8_t> key,
               std::initializer_list<std::span<const std::uint8_t>> parts) {
  return hmac(row(prf).digest, key, parts);
}

// T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2), ...
Secret expand(Prf prf, std::span<const std::uint8_t> key,
              std::initializer_list<std::span<const std::uint8_t>> seed, std::size_t bytes) {
  const auto block = prf_bytes(prf);
  assert(bytes <= 255 * block);
  std::size_t seed_bytes = 0;
  for (const auto part : seed) seed_bytes += part.size();
  Secret whole_seed(seed_bytes);  // at once: one that grows leaves bytes behind
  auto at_seed = whole_seed.writable().begin();
  for (const auto part : seed) at_seed = std::ranges::copy(part, at_seed).out;
  Secret out(bytes);
  Secret last;
  std::uint8_t number = 0;
  for (std::size_t at = 0; at < bytes; at += block) {
    ++number;
    last = compute(prf, key, {last.bytes(), whole_seed.bytes(), {&number, 1}});
    std::copy_n(last.bytes().begin(), std::min(block, bytes - at),
                out.writable().begin() + static_cast<std::ptrdiff_t>(at));
  }
  return out;
}

}  // namespace espgate::ike
