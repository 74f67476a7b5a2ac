// Anti-replay (RFC 4303 3.4.3, cell layout after RFC 6479), safe for any number of workers on one SA
// without a lock.
//
//   ring of cells, each one 64-bit word {block number mod 2^32, bitmap of that block's 32 sequence
//   numbers}; sequence s lives in block s / 32, cell block % ring.
//
// Two steps, as RFC 4303 demands: `check` before the ICV is verified (reads only), `commit` after.
// Why commit is right with several workers:
//   - It raises `top` first and changes the cell second, so no cell ever holds a block beyond top's.
//   - It reads the cell first and `top` second. If the sequence number is still in the window then, the
//     block that was read is less than a ring ahead of its own, and congruent: its own or an older one.
//     An old block never replaces a newer one, even if the worker slept in between, because the
//     compare-and-swap fails when the cell has changed since.
//   - The bit is set by that one compare-and-swap: of two workers with one number, one is `fresh`.
//   - Numbers of one block can be committed together, which is what a burst has: `top` is raised to their
//     highest, which is less than a block and so less than a window ahead of the others, and one
//     compare-and-swap sets all their bits. The answers are those they would get one by one.
// Block numbers are compared for equality only, so their wrap does no harm: a cell left untouched while
// the SA ran through a multiple of 2^37 numbers may call fresh ones duplicates, never the reverse.
//
// Sequence numbers are 64-bit; without ESN the high half is 0. Sequence number 0 is never valid.
#pragma once

#include <atomic>
#include <bit>
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
  // `cells` has replay_cells(window_packets) entries, zero at the beginning of the SA's life;
  // `cell_mask` is their number less one.
  ReplayWindow(std::atomic<std::uint64_t>& top, ReplayCell* cells, std::uint32_t window_packets,
               std::uint32_t cell_mask)
      : top_(top), cells_(cells), window_(window_packets), mask_(cell_mask) {}

  // The 64-bit sequence number that `low` stands for, given the highest accepted so far (RFC 4303
  // appendix A2.2). With esn false it is `low` itself. With anti-replay off (window 0) the high half is
  // still needed for the ICV; it is taken nearest to top, and the caller keeps `top` by raise_top.
  static std::uint64_t full_sequence(std::uint32_t low, std::uint64_t top, std::uint32_t window_packets,
                                     bool esn);

  // Makes `top` at least `sequence`.
  static void raise_top(std::atomic<std::uint64_t>& top, std::uint64_t sequence);

  // Reads only. May be called long before commit; a stale answer is put right there.
  Replay check(std::uint64_t sequence) const;
  // Only after the ICV was good. Marks the sequence number as seen; `fresh` exactly once for each.
  Replay commit(std::uint64_t sequence);
  // The same for several numbers of one block: of `block` * 32 + i for each bit i of `bits`. Each comes out
  // in one of the masks, or in none if it is a duplicate.
  struct Committed {
    std::uint32_t fresh = 0;
    std::uint32_t left = 0;  // out of the window
    Replay of(std::uint64_t sequence) const {
      const std::uint32_t bit = std::uint32_t{1} << (sequence % 32);
      return (fresh & bit) != 0  ? Replay::fresh
             : (left & bit) != 0 ? Replay::out_of_window
                                 : Replay::duplicate;
    }
  };
  Committed commit_block(std::uint64_t block, std::uint32_t bits);
  // `commit` for one exclusive worker: no locked instruction.
  Replay commit_exclusive(std::uint64_t sequence);

  // The cell that check and commit will touch, for prefetching.
  const ReplayCell* cell_of(std::uint64_t sequence) const { return &cells_[(sequence / 32) & mask_]; }

 private:
  bool is_left(std::uint64_t sequence, std::uint64_t top) const {
    return sequence < top && top - sequence >= window_;
  }
  // Which numbers of a block are left of the window, as a mask.
  std::uint32_t left_of_window(std::uint64_t block, std::uint64_t top) const {
    const std::uint64_t bottom = top >= window_ ? top - window_ + 1 : 0;
    if (bottom <= block * 32) return 0;
    const std::uint64_t left = bottom - block * 32;
    return left >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << left) - 1;
  }
  // The cell as it is if it holds the block, or as the block begins.
  static std::uint64_t holding(std::uint64_t cell, std::uint64_t block) {
    return cell >> 32 == (block & 0xffff'ffff) ? cell : block << 32;
  }
  // The cell's value with the sequence number marked as seen: equal to `cell` if it was already.
  static std::uint64_t marked(std::uint64_t cell, std::uint64_t sequence) {
    return holding(cell, sequence / 32) | std::uint64_t{1} << (sequence % 32);
  }

  std::atomic<std::uint64_t>& top_;
  ReplayCell* cells_;
  std::uint32_t window_;
  std::uint32_t mask_;
};

// The appendix's two cases are one: the answer is the first number at or right of the window's bottom
// that ends in `low`. While the window still reaches left of 0, its bottom is 0, so the high half cannot
// underflow; at its other end the sum wraps to a number far left of the window, which check refuses.
inline std::uint64_t ReplayWindow::full_sequence(std::uint32_t low, std::uint64_t top,
                                                 std::uint32_t window_packets, bool esn) {
  if (!esn) return low;
  const std::uint64_t window = window_packets != 0 ? window_packets : std::uint64_t{1} << 31;
  const std::uint64_t bottom = top >= window - 1 ? top - (window - 1) : 0;
  return bottom + static_cast<std::uint32_t>(low - static_cast<std::uint32_t>(bottom));
}

inline void ReplayWindow::raise_top(std::atomic<std::uint64_t>& top, std::uint64_t sequence) {
  std::uint64_t seen = top.load(std::memory_order_relaxed);
  while (seen < sequence &&
         !top.compare_exchange_weak(seen, sequence, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
}

inline Replay ReplayWindow::check(std::uint64_t sequence) const {
  if (sequence == 0) return Replay::duplicate;
  const std::uint64_t cell = cell_of(sequence)->load(std::memory_order_acquire);
  if (is_left(sequence, top_.load(std::memory_order_relaxed))) return Replay::out_of_window;
  return marked(cell, sequence) == cell ? Replay::duplicate : Replay::fresh;
}

inline Replay ReplayWindow::commit(std::uint64_t sequence) {
  return commit_block(sequence / 32, std::uint32_t{1} << (sequence % 32)).of(sequence);
}

inline ReplayWindow::Committed ReplayWindow::commit_block(std::uint64_t block, std::uint32_t bits) {
  if (block == 0) bits &= ~std::uint32_t{1};  // sequence number 0
  if (bits == 0) return {};
  raise_top(top_, block * 32 + static_cast<unsigned>(std::bit_width(bits)) - 1);
  ReplayCell& cell = cells_[block & mask_];
  std::uint64_t seen = cell.load(std::memory_order_acquire);
  for (;;) {
    const std::uint32_t left = bits & left_of_window(block, top_.load(std::memory_order_acquire));
    const std::uint64_t held = holding(seen, block);
    const auto fresh = bits & ~left & ~static_cast<std::uint32_t>(held);
    if (fresh == 0 ||
        cell.compare_exchange_weak(seen, held | fresh, std::memory_order_acq_rel, std::memory_order_acquire))
      return {fresh, left};
  }
}

inline Replay ReplayWindow::commit_exclusive(std::uint64_t sequence) {
  if (sequence == 0) return Replay::duplicate;
  const std::uint64_t top = top_.load(std::memory_order_relaxed);
  if (is_left(sequence, top)) return Replay::out_of_window;
  ReplayCell& cell = cells_[(sequence / 32) & mask_];
  const std::uint64_t seen = cell.load(std::memory_order_relaxed);
  const std::uint64_t next = marked(seen, sequence);
  if (next == seen) return Replay::duplicate;
  if (sequence > top) top_.store(sequence, std::memory_order_release);
  cell.store(next, std::memory_order_release);
  return Replay::fresh;
}

}  // namespace espgate::sa
