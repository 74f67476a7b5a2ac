// Writes the frame fuzzer's seed corpus: one file for each sample frame and port, in the fuzzer's input
// format.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/datapath/parse/samples.hpp"

using namespace espgate::testing;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const auto& frame : one_of_each())
    for (const std::uint8_t port : {std::uint8_t{0}, std::uint8_t{2}}) {
      const auto input = Frame{0xff, 0, port} + frame;
      std::ofstream file(folder / ("frame-" + std::to_string(number++)), std::ios::binary);
      for (const auto byte : input) file.put(static_cast<char>(byte));
      if (!file.flush()) {
        std::fprintf(stderr, "cannot write to %s\n", folder.c_str());
        return 1;
      }
    }
}
