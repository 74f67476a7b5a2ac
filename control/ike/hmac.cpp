#include "control/ike/hmac.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <new>
#include <string>

#include "control/ike/openssl.hpp"

namespace espgate::ike {

Secret hmac(const char* digest, std::span<const std::uint8_t> key,
            std::initializer_list<std::span<const std::uint8_t>> parts) {
  static const Mac algorithm(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  const MacContext context(EVP_MAC_CTX_new(algorithm.get()));
  std::string name(digest);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
                                   OSSL_PARAM_construct_end()};
  // A null key would mean the one before.
  static constexpr std::uint8_t nothing = 0;
  bool good = context &&
              EVP_MAC_init(context.get(), key.empty() ? &nothing : key.data(), key.size(), parameters) == 1;
  for (const auto part : parts) good = good && EVP_MAC_update(context.get(), part.data(), part.size()) == 1;
  Secret out(context ? EVP_MAC_CTX_get_mac_size(context.get()) : std::size_t{0});
  std::size_t size = 0;
  good = good && EVP_MAC_final(context.get(), out.writable().data(), &size, out.size()) == 1;
  if (!good || size != out.size()) throw std::bad_alloc();
  return out;
}

}  // namespace espgate::ike
