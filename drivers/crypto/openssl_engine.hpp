// All suites with OpenSSL: the reference that the other engines are compared with, and the engine for
// machines that IPsec-MB does not run on.
#pragma once

#include <memory>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

// A prepared key is the key itself; the cipher expands it again for every packet.
// Error: libcrypto does not offer an algorithm of the suite table.
Expected<std::unique_ptr<Engine>> make_openssl_engine();

}  // namespace espgate::crypto
