// Writes the frame fuzzer's seed corpus: one file for each sample frame and port, in the fuzzer's input
// format.
#include "tests/datapath/parse/samples.hpp"
#include "tests/fuzz/seeds.hpp"

using namespace espgate::testing;

int main(int argc, char** argv) {
  std::vector<Frame> seeds;
  for (const auto& frame : one_of_each())
    for (const std::uint8_t port : {std::uint8_t{0}, std::uint8_t{2}})
      seeds.push_back(Frame{0xff, 0, port} + frame);
  return write_seeds(argc, argv, seeds);
}
