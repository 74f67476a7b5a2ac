#pragma once

#include <cstdint>
#include <span>

namespace espgate::daemon {

// With what nobody can foresee. Throws std::runtime_error when OpenSSL has no random numbers to give. Any
// thread.
void fill_random(std::span<std::uint8_t> bytes);

}  // namespace espgate::daemon
