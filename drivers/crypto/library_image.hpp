// A second image of an already loaded shared library, so that one thread has the library's variables for
// itself. The text is the same file mapped again (no extra memory, no extra cache); the writable data,
// after relocation, is copied.
//
// IPsec-MB before 1.4 needs this: every call of its direct API writes one process-wide variable
// (`imb_errno`), so two workers pass that cache line back and forth with every packet. Measured on 48-byte
// texts: 72 cycles a call for one thread, 150 for each of two, 75 with an image for each.
// https://github.com/intel/intel-ipsec-mb/issues/112
#pragma once

#include <cstddef>
#include <cstdint>

#include "datapath/base/expected.hpp"

namespace espgate::crypto {

class LibraryImage {
 public:
  // Copies the library that holds `function`. What the copy's data points at stays the original's, so only
  // code that reaches its variables directly gains anything; all code stays correct.
  static Expected<LibraryImage> of(const void* function);

  LibraryImage(LibraryImage&& other) noexcept;
  LibraryImage& operator=(LibraryImage&&) = delete;
  ~LibraryImage();

  // The same function in this image. Functions from elsewhere are returned as they are.
  template <typename Function>
  Function* translate(Function* function) const {
    return reinterpret_cast<Function*>(translate_address(reinterpret_cast<std::uintptr_t>(function)));
  }

 private:
  LibraryImage(std::uintptr_t original, std::byte* copy, std::size_t bytes)
      : original_(original), copy_(copy), bytes_(bytes) {}
  std::uintptr_t translate_address(std::uintptr_t address) const;

  std::uintptr_t original_;  // where the original's first page is
  std::byte* copy_;
  std::size_t bytes_;
};

}  // namespace espgate::crypto
