// Writes the ESP fuzzer's seed corpus: plaintexts with their trailers, good and bad.
#include "tests/datapath/worker/rig.hpp"
#include "tests/fuzz/seeds.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Bytes with_trailer(Bytes text, unsigned padding, unsigned pad_length, unsigned next_header) {
  for (unsigned i = 1; i <= padding; ++i) text.push_back(static_cast<std::uint8_t>(i));
  text.push_back(static_cast<std::uint8_t>(pad_length));
  text.push_back(static_cast<std::uint8_t>(next_header));
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  start_environment();
  const Rig rig;
  const auto v4 = rig.inner(net::Family::v4, 18, true);
  const auto v6 = rig.inner(net::Family::v6, 18, true);
  Bytes with_tfc = v4;
  with_tfc.resize(v4.size() + 64);
  const std::vector<Bytes> seeds{with_trailer(v4, 0, 0, 4),       with_trailer(v6, 0, 0, 41),
                                 with_trailer(v4, 4, 4, 4),       with_trailer(v4, 0, 255, 4),
                                 with_trailer(v4, 0, 0, 41),      with_trailer(v6, 0, 0, 4),
                                 with_trailer({}, 2, 2, 59),      with_trailer({}, 2, 2, 4),
                                 with_trailer(with_tfc, 2, 2, 4), with_trailer(v4, 200, 200, 4)};
  return testing::write_seeds(argc, argv, seeds);
}
