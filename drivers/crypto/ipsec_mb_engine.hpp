// AES-GCM with Intel's IPsec-MB: one direct call a packet.
#pragma once

#include <memory>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

// Which of the library's implementations to take. Only tests ask for less than the best.
enum class InstructionSet : std::uint8_t { best, sse, avx, avx2, avx512, avx512_vaes };

// Errors: the processor lacks AES-NI and PCLMULQDQ (or what `instructions` needs), or the library failed
// its own self-test.
Expected<std::unique_ptr<Engine>> make_ipsec_mb_engine(InstructionSet instructions = InstructionSet::best);

}  // namespace espgate::crypto
