// Writes the seed corpus of ike_sequence_fuzz: random steps, from each of the three points that it begins at.
#include <random>

#include "tests/fuzz/seeds.hpp"

int main(int argc, char** argv) {
  std::vector<std::vector<std::uint8_t>> seeds;
  std::mt19937 random(1);
  for (int number = 0; number < 60; ++number) {
    // The last bytes are read first, as FuzzedDataProvider does: where to begin.
    std::vector<std::uint8_t> seed(static_cast<std::size_t>(40 + number * 5));
    for (auto& byte : seed) byte = static_cast<std::uint8_t>(random());
    seed[seed.size() - 2] = static_cast<std::uint8_t>(number % 3);
    seeds.push_back(seed);
  }
  return espgate::testing::write_seeds(argc, argv, seeds);
}
