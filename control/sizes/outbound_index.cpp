#include "control/sizes/outbound_index.hpp"

#include <bit>
#include <functional>

namespace espgate::sizes {

OutboundIndex::OutboundIndex(std::uint32_t most_sas)
    : first_(std::bit_ceil(most_sas), nobody), next_(most_sas, nobody), bucket_(most_sas, nobody) {}

std::uint32_t OutboundIndex::bucket_of(const net::Address& remote, std::uint32_t spi) const {
  const std::uint64_t mixed = (std::hash<net::Address>{}(remote) ^ spi) * 0x9e37'79b9'7f4a'7c15;
  return static_cast<std::uint32_t>(mixed >> 32) & static_cast<std::uint32_t>(first_.size() - 1);
}

void OutboundIndex::put(std::uint32_t sa, const net::Address& remote, std::uint32_t spi) {
  const auto bucket = bucket_of(remote, spi);
  if (bucket_[sa] == bucket) return;
  remove(sa);
  bucket_[sa] = bucket;
  next_[sa] = first_[bucket];
  first_[bucket] = sa;
}

void OutboundIndex::remove(std::uint32_t sa) {
  if (bucket_[sa] == nobody) return;
  auto* link = &first_[bucket_[sa]];
  while (*link != sa) link = &next_[*link];
  *link = next_[sa];
  bucket_[sa] = nobody;
}

}  // namespace espgate::sizes
