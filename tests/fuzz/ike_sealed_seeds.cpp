// Writes the seed corpus of ike_sealed_fuzz: every payload, in each suite, whole and in parts.
#include "tests/control/ike/sample_messages.hpp"
#include "tests/fuzz/seeds.hpp"

using namespace espgate::ike;

int main(int argc, char** argv) {
  const auto writer = test::everything();
  std::vector<std::vector<std::uint8_t>> seeds;
  for (std::uint8_t suite = 0; suite < 3; ++suite)
    for (const std::uint8_t parts : {std::uint8_t{3}, std::uint8_t{255}}) {
      std::vector<std::uint8_t> seed{suite, parts, static_cast<std::uint8_t>(writer.first())};
      seed.insert(seed.end(), writer.bytes().begin(), writer.bytes().end());
      seeds.push_back(seed);
    }
  return espgate::testing::write_seeds(argc, argv, seeds);
}
