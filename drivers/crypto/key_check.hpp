// What every engine asks of a key before it expands it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::crypto {

// Error when `key` has not the length of the suite's cipher key.
inline Expected<void> check_key(SuiteId id, std::span<const std::uint8_t> key) {
  const auto& row = suite(id);
  if (key.size() == row.key_bytes) return {};
  return Error{std::string(row.name) + " was given a key of " + std::to_string(key.size()) + " bytes",
               "give it " + std::to_string(row.key_bytes) + " bytes of key, and the salt of " +
                   std::to_string(row.salt_bytes) + " bytes apart from it"};
}

}  // namespace espgate::crypto
