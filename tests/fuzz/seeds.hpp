// What the programs that write seed corpora have in common.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace espgate::testing {

// main() of such a program: each seed becomes a file of the folder that its argument names.
template <typename Seeds>
int write_seeds(int argc, char** argv, const Seeds& seeds) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const auto& seed : seeds) {
    std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    for (const auto byte : seed) file.put(static_cast<char>(byte));
    if (!file.flush()) {
      std::fprintf(stderr, "cannot write to %s\n", folder.c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace espgate::testing
