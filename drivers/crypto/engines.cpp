#include "drivers/crypto/engines.hpp"

#include <array>
#include <string>

#include "drivers/crypto/ipsec_mb_engine.hpp"
#include "drivers/crypto/openssl_engine.hpp"

namespace espgate::crypto {
namespace {

constexpr std::array<std::string_view, 2> names{"ipsec-mb", "openssl"};

}  // namespace

std::span<const std::string_view> engine_names() {
  return names;
}

Expected<std::unique_ptr<Engine>> make_engine(std::string_view name) {
  if (name == "ipsec-mb") return make_ipsec_mb_engine();
  if (name == "openssl") return make_openssl_engine();
  return Error{"no crypto engine is called \"" + std::string(name) + "\"", "use \"ipsec-mb\" or \"openssl\""};
}

}  // namespace espgate::crypto
