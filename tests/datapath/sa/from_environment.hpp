// Settings of the longer tests.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace espgate::test {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

// Another one in each run; a failing test prints it (CAPTURE), ESPGATE_SEED runs it again.
inline std::uint32_t seed() {
  static const auto chosen =
      static_cast<std::uint32_t>(from_environment("ESPGATE_SEED", std::random_device{}()));
  return chosen;
}

}  // namespace espgate::test
