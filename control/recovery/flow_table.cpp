#include "control/recovery/flow_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace espgate::recovery {
namespace {

// Multiply and fold: both halves of the product depend on the secret, so a sender that does not know it
// cannot aim at one chain.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t word(const net::Address& address, std::size_t half) {
  std::uint64_t value;
  std::memcpy(&value, address.bytes.data() + 8 * half, sizeof value);
  return value;
}

}  // namespace

FlowTable::FlowTable(std::uint32_t capacity, std::array<std::uint64_t, 2> secret)
    : entries_(std::max(capacity, 1u)), chains_(std::bit_ceil(2 * entries_.size()), none), secret_(secret) {}

std::size_t FlowTable::chain_of(const FlowKey& key) const {
  // An odd constant keeps a factor from being 0 for a whole class of keys.
  constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;
  auto hash = secret_[0];
  for (const auto* address : {&key.source, &key.destination})
    for (const std::size_t half : {0u, 1u}) hash = mix(word(*address, half) ^ hash, secret_[1] ^ odd) + hash;
  const auto rest = std::uint64_t{key.spi} << 16 | static_cast<std::uint64_t>(key.source.family) << 8 |
                    static_cast<std::uint64_t>(key.encapsulation);
  hash = mix(rest ^ hash, secret_[1] ^ odd) + hash;
  return static_cast<std::size_t>(mix(hash, odd)) & (chains_.size() - 1);
}

Flow& FlowTable::touch(const FlowKey& key, Sort sort) {
  const auto chain = chain_of(key);
  auto index = lookup(key, chain);
  if (index == none) {
    index = take_entry(sort);
    entries_[index].flow = {};
    entries_[index].flow.key = key;
    entries_[index].next = chains_[chain];
    chains_[chain] = index;
  } else {
    unlink(index);
  }
  entries_[index].sort = sort;
  entries_[index].seen = ++touched_;
  link_newest(index);
  return entries_[index].flow;
}

const Flow* FlowTable::find(const FlowKey& key) const {
  const auto index = lookup(key, chain_of(key));
  return index == none ? nullptr : &entries_[index].flow;
}

std::uint32_t FlowTable::lookup(const FlowKey& key, std::size_t chain) const {
  auto index = chains_[chain];
  while (index != none && !(entries_[index].flow.key == key)) index = entries_[index].next;
  return index;
}

std::uint32_t FlowTable::take_entry(Sort sort) {
  if (size_ < entries_.size()) return size_++;
  const auto& own = line_of(sort);
  const auto& other = line_of(sort == Sort::known ? Sort::any : Sort::known);
  const bool from_own = other.length == 0 || (own.length != 0 && own.length >= size_ / 2);
  const auto index = (from_own ? own : other).oldest;
  unchain(index);
  unlink(index);
  ++evicted_;
  return index;
}

void FlowTable::unchain(std::uint32_t index) {
  auto* link = &chains_[chain_of(entries_[index].flow.key)];
  while (*link != index) link = &entries_[*link].next;
  *link = entries_[index].next;
}

void FlowTable::unlink(std::uint32_t index) {
  const auto& entry = entries_[index];
  auto& line = line_of(entry.sort);
  (entry.newer == none ? line.newest : entries_[entry.newer].older) = entry.older;
  (entry.older == none ? line.oldest : entries_[entry.older].newer) = entry.newer;
  --line.length;
}

void FlowTable::link_newest(std::uint32_t index) {
  auto& entry = entries_[index];
  auto& line = line_of(entry.sort);
  entry.newer = none;
  entry.older = line.newest;
  (line.newest == none ? line.oldest : entries_[line.newest].newer) = index;
  line.newest = index;
  ++line.length;
}

void FlowTable::link_oldest(std::uint32_t index) {
  auto& entry = entries_[index];
  auto& line = line_of(entry.sort);
  entry.older = none;
  entry.newer = line.oldest;
  (line.oldest == none ? line.newest : entries_[line.oldest].older) = index;
  line.oldest = index;
  ++line.length;
}

void FlowTable::make_next_to_go(const FlowKey& key) {
  const auto index = lookup(key, chain_of(key));
  if (index == none) return;
  unlink(index);
  entries_[index].seen = 0;
  link_oldest(index);
}

}  // namespace espgate::recovery
