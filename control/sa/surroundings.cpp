#include "control/sa/surroundings.hpp"

#include <openssl/rand.h>

namespace espgate::sa {

std::uint32_t openssl_random() {
  unsigned char bytes[4];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return 0;
  std::uint32_t value = 0;
  for (const auto byte : bytes) value = value << 8 | byte;
  return value;
}

}  // namespace espgate::sa
