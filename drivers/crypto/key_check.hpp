// What every engine asks of a key before it expands it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::crypto {

// Error when `keymat` has not the length of the suite's.
inline Expected<void> check_keymat(SuiteId id, std::span<const std::uint8_t> keymat) {
  const auto& row = suite(id);
  if (keymat.size() == row.keymat_bytes()) return {};
  return Error{std::string(row.name) + " was given a key of " + std::to_string(keymat.size()) + " bytes",
               "give it " + std::to_string(row.keymat_bytes()) + ": " + std::to_string(row.key_bytes) +
                   " for the cipher, " + std::to_string(row.salt_bytes) + " of salt, " +
                   std::to_string(row.integrity_key_bytes) + " for the integrity algorithm"};
}

}  // namespace espgate::crypto
