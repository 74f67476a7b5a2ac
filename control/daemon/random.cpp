#include "control/daemon/random.hpp"

#include <openssl/rand.h>

#include <stdexcept>

namespace espgate::daemon {

void fill_random(std::span<std::uint8_t> bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the random number generator is broken; restart espgate");
}

}  // namespace espgate::daemon
