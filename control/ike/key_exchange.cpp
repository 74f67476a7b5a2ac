#include "control/ike/key_exchange.hpp"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cassert>
#include <new>
#include <string>

#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint16_t ml_kem_768 = 36;

// RFC 3526, RFC 5903, RFC 8031, draft-ietf-ipsecme-ikev2-mlkem.
constexpr KeyExchangeMethod all_methods[] = {
    {14, "modp2048", 256, 256}, {15, "modp3072", 384, 384}, {16, "modp4096", 512, 512},
    {19, "ecp256", 64, 64},     {20, "ecp384", 96, 96},     {21, "ecp521", 132, 132},
    {31, "x25519", 32, 32},     {32, "x448", 56, 56},       {ml_kem_768, "ml-kem-768", 1184, 1088},
};

// How OpenSSL calls it. Without a group the algorithm is one curve, whose keys are raw bytes.
struct Names {
  const char* algorithm;
  const char* group;
};

Names names_of(std::uint16_t id) {
  switch (id) {
    case 14:
      return {"DH", "modp_2048"};
    case 15:
      return {"DH", "modp_3072"};
    case 16:
      return {"DH", "modp_4096"};
    case 19:
      return {"EC", "P-256"};
    case 20:
      return {"EC", "P-384"};
    case 21:
      return {"EC", "P-521"};
    case 32:
      return {"X448", nullptr};
    case ml_kem_768:
      return {"ML-KEM-768", nullptr};
    default:
      assert(id == 31);
      return {"X25519", nullptr};
  }
}

// An ECP value is a point without the leading byte that says that it is not compressed.
bool is_point(std::uint16_t id) {
  return id >= 19 && id <= 21;
}
constexpr std::uint8_t uncompressed = 4;

Key make_key(const Names& names) {
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, names.algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_keygen_init(context.get()) != 1) throw std::bad_alloc();
  if (names.group != nullptr) {
    std::string group(names.group);
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
        OSSL_PARAM_construct_end()};
    if (EVP_PKEY_CTX_set_params(context.get(), parameters) != 1) throw std::bad_alloc();
  }
  if (EVP_PKEY_generate(context.get(), &key) != 1) throw std::bad_alloc();
  return Key(key);
}

std::vector<std::uint8_t> value_of(EVP_PKEY* key, const KeyExchangeMethod& method) {
  std::uint8_t* encoded = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key, &encoded);
  const std::unique_ptr<std::uint8_t, Release<[](std::uint8_t* bytes) { OPENSSL_free(bytes); }>> owner(
      encoded);
  const std::size_t skipped = is_point(method.id) ? 1 : 0;
  if (size != method.value_bytes + skipped) throw std::bad_alloc();
  return {encoded + skipped, encoded + size};
}

// The peer's public key, in our group. Null: it is none.
Key public_key(EVP_PKEY* ours, const KeyExchangeMethod& method, Bytes value) {
  const auto names = names_of(method.id);
  if (names.group == nullptr)
    return Key(EVP_PKEY_new_raw_public_key_ex(nullptr, names.algorithm, nullptr, value.data(), value.size()));
  Key key(EVP_PKEY_new());
  if (!key || EVP_PKEY_copy_parameters(key.get(), ours) != 1) return nullptr;
  std::vector<std::uint8_t> encoded;
  if (is_point(method.id)) encoded.push_back(uncompressed);
  encoded.insert(encoded.end(), value.begin(), value.end());
  if (EVP_PKEY_set1_encoded_public_key(key.get(), encoded.data(), encoded.size()) != 1) return nullptr;
  return key;
}

// What the OpenSSL that runs can do, which may be a later one than it was built with.
std::vector<KeyExchangeMethod> usable_methods() {
  std::vector<KeyExchangeMethod> usable;
  for (const auto& method : all_methods) {
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, names_of(method.id).algorithm, nullptr));
    if (context) usable.push_back(method);
  }
  ERR_clear_error();
  return usable;
}

// A secret for whoever has the private key of `value`, and that secret wrapped for it.
std::optional<KeyExchangeAnswer> encapsulate(const KeyExchangeMethod& method, Bytes value) {
  const auto names = names_of(method.id);
  const Key peer(
      EVP_PKEY_new_raw_public_key_ex(nullptr, names.algorithm, nullptr, value.data(), value.size()));
  const KeyContext context(peer ? EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr) : nullptr);
  std::size_t wrapped_bytes = 0, secret_bytes = 0;
  if (!context || EVP_PKEY_encapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_encapsulate(context.get(), nullptr, &wrapped_bytes, nullptr, &secret_bytes) != 1 ||
      wrapped_bytes != method.answer_bytes)
    return {};
  KeyExchangeAnswer answer{std::vector<std::uint8_t>(wrapped_bytes), Secret(secret_bytes)};
  if (EVP_PKEY_encapsulate(context.get(), answer.value.data(), &wrapped_bytes,
                           answer.shared.writable().data(), &secret_bytes) != 1)
    return {};
  return answer;
}

// FIPS 203: a ciphertext that was tampered with gives another secret, and no error.
std::optional<Secret> decapsulate(EVP_PKEY* key, Bytes wrapped) {
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  std::size_t size = 0;
  if (!context || EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_decapsulate(context.get(), nullptr, &size, wrapped.data(), wrapped.size()) != 1)
    return {};
  Secret secret(size);
  if (EVP_PKEY_decapsulate(context.get(), secret.writable().data(), &size, wrapped.data(), wrapped.size()) !=
      1)
    return {};
  return secret;
}

}  // namespace

struct KeyExchangeHalf::Private {
  Key key;
};

std::span<const KeyExchangeMethod> key_exchange_methods() {
  static const auto usable = usable_methods();
  return usable;
}

std::vector<std::string_view> missing_key_exchanges() {
  std::vector<std::string_view> names;
  for (const auto& method : all_methods)
    if (find_key_exchange(method.id) == nullptr) names.push_back(method.name);
  return names;
}

const KeyExchangeMethod* find_key_exchange(std::uint16_t id) {
  const auto methods = key_exchange_methods();
  const auto found = std::ranges::find(methods, id, &KeyExchangeMethod::id);
  return found == methods.end() ? nullptr : &*found;
}

bool is_encapsulation(const KeyExchangeMethod& method) {
  return method.id == ml_kem_768;
}

std::optional<KeyExchangeAnswer> answer_key_exchange(const KeyExchangeMethod& method, Bytes initiator_value) {
  if (initiator_value.size() != method.value_bytes) return {};
  if (is_encapsulation(method)) {
    auto answer = encapsulate(method, initiator_value);
    ERR_clear_error();
    return answer;
  }
  const KeyExchangeHalf half(method);
  auto shared = half.shared_secret(initiator_value);
  if (!shared) return {};
  return KeyExchangeAnswer{half.value(), *std::move(shared)};
}

KeyExchangeHalf::KeyExchangeHalf(const KeyExchangeMethod& method)
    : method_(&method),
      private_(std::make_unique<Private>(Private{make_key(names_of(method.id))})),
      value_(value_of(private_->key.get(), method)) {}
KeyExchangeHalf::~KeyExchangeHalf() = default;
KeyExchangeHalf::KeyExchangeHalf(KeyExchangeHalf&&) noexcept = default;
KeyExchangeHalf& KeyExchangeHalf::operator=(KeyExchangeHalf&&) noexcept = default;

std::optional<Secret> KeyExchangeHalf::shared_secret(std::span<const std::uint8_t> peer_value) const {
  if (peer_value.size() != method_->answer_bytes) return {};
  if (is_encapsulation(*method_)) return decapsulate(private_->key.get(), peer_value);
  const Key peer = public_key(private_->key.get(), *method_, peer_value);
  if (!peer) return {};
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, private_->key.get(), nullptr));
  // MODP secrets keep their leading zeros (RFC 7296 2.14). The others do not know the parameter.
  unsigned pad = 1;
  const OSSL_PARAM padded[] = {OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad),
                               OSSL_PARAM_construct_end()};
  const bool is_modp = !is_point(method_->id) && method_->value_bytes >= 256;
  // The last argument has the peer's key validated: in the group and not of small order.
  std::size_t size = 0;
  if (!context || EVP_PKEY_derive_init_ex(context.get(), is_modp ? padded : nullptr) != 1 ||
      EVP_PKEY_derive_set_peer_ex(context.get(), peer.get(), 1) != 1 ||
      EVP_PKEY_derive(context.get(), nullptr, &size) != 1)
    return {};
  Secret secret(size);
  if (EVP_PKEY_derive(context.get(), secret.writable().data(), &size) != 1 || size != secret.size())
    return {};
  return secret;
}

}  // namespace espgate::ike
