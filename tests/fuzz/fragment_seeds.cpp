// Writes the fragment fuzzer's seed corpus: datagrams in order and not, twice, overlapping, too late, too
// long, and more of them than there are places.
#include <algorithm>
#include <vector>

#include "tests/fuzz/fragment_input.hpp"
#include "tests/fuzz/seeds.hpp"

using espgate::test::FragmentInput;

namespace {

using Sequence = std::vector<FragmentInput>;
constexpr auto more = FragmentInput::more;

// A datagram in parts of these many bytes.
Sequence datagram(unsigned flags, std::initializer_list<std::uint16_t> sizes) {
  Sequence parts;
  std::uint16_t unit = 0;
  for (const auto size : sizes) {
    parts.push_back({static_cast<std::uint8_t>(flags | more), unit, size, 1, 0, 0});
    unit = static_cast<std::uint16_t>(unit + size / 8);
  }
  parts.back().flags = static_cast<std::uint8_t>(flags);
  return parts;
}

std::vector<Sequence> all() {
  std::vector<Sequence> seeds;
  for (const unsigned family : {0u, unsigned{FragmentInput::v6}}) {
    const auto plain = datagram(family, {400, 400, 120});
    seeds.push_back(plain);
    seeds.emplace_back(plain.rbegin(), plain.rend());
    auto twice = plain;
    twice.insert(twice.begin() + 1, plain[0]);
    seeds.push_back(twice);
    auto overlap = plain;
    overlap[1].unit = 40;
    seeds.push_back(overlap);
    auto other = plain;
    other.insert(other.begin() + 2, plain[1]);
    other[2].flags |= FragmentInput::other;
    seeds.push_back(other);
    auto late = plain;
    late[2].pause = 200;
    seeds.push_back(late);
    auto early_end = plain;
    early_end[1].flags = static_cast<std::uint8_t>(family);
    seeds.push_back(early_end);
    auto damaged = plain;
    damaged[1].damage_at = 20;
    damaged[1].damage = 1;
    seeds.push_back(damaged);
    auto marked = plain;
    marked[0].flags |= FragmentInput::congested | FragmentInput::split | FragmentInput::options;
    seeds.push_back(marked);
    seeds.push_back(datagram(family, {8, 8, 8, 8, 8, 8, 8, 3}));
    seeds.push_back(datagram(family, {8'000, 8'000, 8'000, 8'000, 8'000, 8'000, 8'000, 8'000, 900}));
    Sequence many;
    for (unsigned i = 0; i < 4; ++i)
      for (const auto& part : datagram(family | i, {800, 800})) many.push_back(part);
    std::rotate(many.begin(), many.begin() + 1, many.end());
    seeds.push_back(many);
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::vector<std::uint8_t>> seeds;
  for (const auto& sequence : all()) {
    auto& seed = seeds.emplace_back(sequence.size() * FragmentInput::bytes);
    for (std::size_t i = 0; i < sequence.size(); ++i) sequence[i].write(&seed[i * FragmentInput::bytes]);
  }
  return espgate::testing::write_seeds(argc, argv, seeds);
}
