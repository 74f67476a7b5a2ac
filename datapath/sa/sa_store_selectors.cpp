// SaStore: the selectors of its SAs, as they lie in memory for workers to read.
#include <algorithm>
#include <memory>

#include "datapath/sa/sa_store.hpp"

namespace espgate::sa {
namespace {

bool is_two_prefixes(const net::TrafficSelector& selector) {
  return !selector.protocol && selector.local.is_prefix() && selector.remote.is_prefix();
}

Selector packed(const net::TrafficSelector& selector) {
  const auto remote = selector.remote.cover();
  const auto local = selector.local.cover();
  Selector result{};
  std::ranges::copy(remote.address.bytes, result.source);
  std::ranges::copy(local.address.bytes, result.destination);
  result.source_bits = remote.length;
  result.destination_bits = local.length;
  result.family = local.address.family;
  return result;
}

std::size_t bytes_of(std::size_t prefixes, std::size_t detailed) {
  return sizeof(MoreSelectors) + detailed * sizeof(DetailedSelector) + prefixes * sizeof(Selector);
}

}  // namespace

// The first that is two prefixes goes into the entry, the others behind it. All of an SA in transport mode
// are between the same two addresses.
void SaStore::take_selectors(InboundSa& entry, std::span<const net::TrafficSelector> selectors) {
  const auto first = std::ranges::find_if(selectors, is_two_prefixes);
  entry.selector = first == selectors.end() ? Selector{} : packed(*first);
  if (first == selectors.end())
    std::ranges::copy(selectors.front().remote.first.bytes, entry.selector.source);
  entry.selector_count = static_cast<std::uint8_t>(selectors.size());
  entry.more = keep(selectors, first == selectors.end() ? nullptr : &*first);
}

// All of them `but` one, in one block; nullptr when there are no others.
const MoreSelectors* SaStore::keep(std::span<const net::TrafficSelector> selectors,
                                   const net::TrafficSelector* but) {
  const auto prefixes =
      static_cast<std::size_t>(std::ranges::count_if(selectors, is_two_prefixes)) - (but == nullptr ? 0 : 1);
  const auto detailed = selectors.size() - prefixes - (but == nullptr ? 0 : 1);
  if (prefixes + detailed == 0) return nullptr;
  auto* block =
      static_cast<std::byte*>(memory_.allocate(bytes_of(prefixes, detailed), alignof(MoreSelectors)));
  auto* first_detailed = reinterpret_cast<DetailedSelector*>(block + sizeof(MoreSelectors));
  auto* first_prefixes = reinterpret_cast<Selector*>(first_detailed + detailed);
  auto* next_detailed = first_detailed;
  auto* next_prefixes = first_prefixes;
  for (const auto& selector : selectors) {
    if (!is_two_prefixes(selector))
      std::construct_at(next_detailed++,
                        DetailedSelector{net::FlowRanges::of(selector.local, selector.remote), selector});
    else if (&selector != but)
      std::construct_at(next_prefixes++, packed(selector));
  }
  return std::construct_at(reinterpret_cast<MoreSelectors*>(block),
                           MoreSelectors{{first_prefixes, prefixes}, {first_detailed, detailed}});
}

void SaStore::give_back(const MoreSelectors* kept) {
  if (kept != nullptr)
    memory_.deallocate(const_cast<MoreSelectors*>(kept),
                       bytes_of(kept->prefixes.size(), kept->detailed.size()), alignof(MoreSelectors));
}

}  // namespace espgate::sa
