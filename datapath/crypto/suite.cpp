#include "datapath/crypto/suite.hpp"

#include <algorithm>
#include <array>

namespace espgate::crypto {
namespace {

// RFC 4106: 4-byte salt, 8-byte IV, 16-byte ICV.
constexpr std::array<Suite, 3> table{{
    {SuiteId::aes_gcm_16_128, "aes128-gcm16", 16, 4, 8, 16, 4},
    {SuiteId::aes_gcm_16_192, "aes192-gcm16", 24, 4, 8, 16, 4},
    {SuiteId::aes_gcm_16_256, "aes256-gcm16", 32, 4, 8, 16, 4},
}};

}  // namespace

std::span<const Suite> suites() {
  return table;
}

const Suite& suite(SuiteId id) {
  return table[static_cast<std::size_t>(id)];
}

const Suite* find_suite(std::string_view name) {
  const auto row = std::ranges::find(table, name, &Suite::name);
  return row == table.end() ? nullptr : &*row;
}

}  // namespace espgate::crypto
