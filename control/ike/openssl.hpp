// Owners of OpenSSL's objects. Not for users of control/ike.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

namespace espgate::ike {

template <auto release>
struct Release {
  template <typename Object>
  void operator()(Object* object) const {
    release(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Release<EVP_PKEY_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Release<EVP_CIPHER_CTX_free>>;
using Mac = std::unique_ptr<EVP_MAC, Release<EVP_MAC_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, Release<EVP_MAC_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Release<EVP_MD_CTX_free>>;
using Name = std::unique_ptr<X509_NAME, Release<X509_NAME_free>>;
using Object = std::unique_ptr<ASN1_OBJECT, Release<ASN1_OBJECT_free>>;
using GeneralNames = std::unique_ptr<GENERAL_NAMES, Release<GENERAL_NAMES_free>>;
using MemoryBio = std::unique_ptr<BIO, Release<BIO_free_all>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Release<X509_STORE_CTX_free>>;

// What OpenSSL fails in with sound arguments it has no memory for.
inline void require(bool good) {
  if (good) return;
  ERR_clear_error();
  throw std::bad_alloc();
}

// OpenSSL's word for what failed last on this thread, which is forgotten with it.
inline std::string last_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason == nullptr ? "no reason given" : reason;
  ERR_clear_error();
  return text;
}

// The DER that one of OpenSSL's i2d functions writes; empty when it cannot.
template <auto encode, typename Value>
std::vector<std::uint8_t> der_of(const Value* value) {
  std::uint8_t* bytes = nullptr;
  const int size = encode(value, &bytes);
  const std::unique_ptr<std::uint8_t, Release<[](std::uint8_t* at) { OPENSSL_free(at); }>> owner(bytes);
  if (size <= 0) return {};
  return {bytes, bytes + size};
}

}  // namespace espgate::ike
