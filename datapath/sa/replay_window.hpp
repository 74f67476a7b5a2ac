// Anti-replay (RFC 4303 3.4.3, cell layout after RFC 6479), safe for any number of workers on one SA
// without a lock.
//
//   ring of cells, each one 64-bit word {block number mod 2^32, bitmap of that block's 32 sequence
//   numbers}; sequence s lives in block s / 32, cell block % ring. A cell changes by one compare-and-
//   swap, so exactly one of two workers that hold the same sequence number wins, and a cell only ever
//   moves on to a newer block, so nothing accepted once is accepted again.
//
// Two steps, as RFC 4303 demands: `check` before the ICV is verified (reads only), `commit` after.
// Sequence numbers are 64-bit; without ESN the high half is 0. Sequence number 0 is never valid.
#pragma once

#include <atomic>
#include <cstdint>

namespace espgate::sa {

enum class Replay : std::uint8_t {
  fresh,
  duplicate,      // inside the window, seen before (or sequence number 0)
  out_of_window,  // left of the window: sequence + window <= top
};

using ReplayCell = std::atomic<std::uint64_t>;

// How many cells a window of `window_packets` (64..65536) needs: a power of two.
std::uint32_t replay_cells(std::uint32_t window_packets);

// A view on one SA's window: the parts live in the SA (top) and beside it (cells), on lines of their
// own. Cheap to make on the stack.
class ReplayWindow {
 public:
  // `cells` has replay_cells(window_packets) entries, zero at the beginning of the SA's life.
  ReplayWindow(std::atomic<std::uint64_t>& top, ReplayCell* cells, std::uint32_t window_packets,
               std::uint32_t cell_mask);

  // The 64-bit sequence number that `low` stands for, given the highest accepted so far (RFC 4303
  // appendix A2.2). With esn false it is `low` itself.
  static std::uint64_t full_sequence(std::uint32_t low, std::uint64_t top, std::uint32_t window_packets,
                                     bool esn);

  // Reads only. May be called long before commit; a stale answer is put right there.
  Replay check(std::uint64_t sequence) const;
  // Only after the ICV was good. Marks the sequence number as seen; `fresh` exactly once for each.
  Replay commit(std::uint64_t sequence);
  // The same for one exclusive worker: no locked instruction.
  Replay commit_exclusive(std::uint64_t sequence);

  // The cell that check and commit will touch, for prefetching.
  const ReplayCell* cell_of(std::uint64_t sequence) const;

 private:
  std::atomic<std::uint64_t>& top_;
  ReplayCell* cells_;
  std::uint32_t window_;
  std::uint32_t mask_;
};

}  // namespace espgate::sa
