// IPsec-MB's manager: the library's calls for one instruction set, and the lanes of its multi-buffer jobs.
#pragma once

#include <intel-ipsec-mb.h>

#include <memory>
#include <string>

#include "datapath/base/expected.hpp"

namespace espgate::crypto {

class LibraryImage;

// Which of the library's implementations to take. Only tests ask for less than the best.
enum class InstructionSet : std::uint8_t { best, sse, avx, avx2, avx512, avx512_vaes };

struct FreeManager {
  void operator()(IMB_MGR* manager) const;  // lanes held parts of keys and packets: cleanses
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

// Errors: the processor lacks AES-NI and PCLMULQDQ (or what `instructions` needs), or the library failed
// its own self-test.
Expected<Manager> make_manager(InstructionSet instructions);

// "sse", "avx", "avx2", "avx512", "avx512-vaes".
std::string describe(const IMB_MGR& manager);

// Makes all calls of the manager those of the image.
void move_calls(IMB_MGR& manager, const LibraryImage& image);

}  // namespace espgate::crypto
