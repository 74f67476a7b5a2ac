// All suites with Intel's IPsec-MB: AES-GCM and GMAC by one direct call a packet, the others by multi-buffer
// jobs.
#pragma once

#include <memory>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"
#include "drivers/crypto/ipsec_mb_manager.hpp"

namespace espgate::crypto {

// Errors: the processor lacks AES-NI and PCLMULQDQ (or what `instructions` needs), or the library failed
// its own self-test. AES-192-CCM, which the library lacks, is done by OpenSSL.
Expected<std::unique_ptr<Engine>> make_ipsec_mb_engine(InstructionSet instructions = InstructionSet::best);

}  // namespace espgate::crypto
