#include "datapath/sa/replay_window.hpp"

#include <bit>

namespace espgate::sa {

// A window that does not begin with a block reaches into one more than its size says; one cell less and
// its first and last block would share a cell.
std::uint32_t replay_cells(std::uint32_t window_packets) {
  const std::uint32_t blocks = (window_packets + 30) / 32 + 1;
  return std::bit_ceil(blocks);
}

}  // namespace espgate::sa
