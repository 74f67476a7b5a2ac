#include "control/ike/key_exchange.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "tests/control/ike/hex.hpp"

using namespace espgate::ike;
using espgate::ike::test::hex;

namespace {

// Those whose two halves are alike.
std::vector<KeyExchangeMethod> diffie_hellman_methods() {
  std::vector<KeyExchangeMethod> methods;
  for (const auto& method : key_exchange_methods())
    if (!is_encapsulation(method)) methods.push_back(method);
  return methods;
}

}  // namespace

TEST_CASE("initiator and responder of every method get the same secret") {
  for (const auto& method : key_exchange_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf initiator(method);
    CHECK(initiator.value().size() == method.value_bytes);
    const auto answer = answer_key_exchange(method, initiator.value());
    REQUIRE(answer);
    CHECK(answer->value.size() == method.answer_bytes);
    const auto secret = initiator.shared_secret(answer->value);
    REQUIRE(secret);
    CHECK(*secret == answer->shared);
    const auto another = answer_key_exchange(method, initiator.value());
    CHECK_FALSE(another->shared == answer->shared);
    auto cut = initiator.value();
    cut.pop_back();
    CHECK_FALSE(answer_key_exchange(method, cut));
    CHECK_FALSE(answer_key_exchange(method, {}));
  }
}

TEST_CASE(
    "ML-KEM-768 refuses a key whose numbers are not reduced, and hides a wrong ciphertext (FIPS 203 7)") {
  const auto* method = find_key_exchange(36);
  if (method == nullptr) {
    WARN("this OpenSSL has no ML-KEM, which takes 3.5");
    return;
  }
  const KeyExchangeHalf initiator(*method);
  auto value = initiator.value();
  std::ranges::fill(value, std::uint8_t{0xff});
  CHECK_FALSE(answer_key_exchange(*method, value));
  auto answer = answer_key_exchange(*method, initiator.value()).value();
  answer.value[0] ^= 1;
  const auto secret = initiator.shared_secret(answer.value);
  REQUIRE(secret);
  CHECK_FALSE(*secret == answer.shared);
}

TEST_CASE("the two halves of a Diffie-Hellman method are alike, and the secret as long as its RFC says") {
  for (const auto& method : diffie_hellman_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method), theirs(method);
    CHECK(ours.value().size() == method.value_bytes);
    CHECK(ours.value() != theirs.value());
    const auto secret = ours.shared_secret(theirs.value());
    REQUIRE(secret);
    CHECK(*secret == *theirs.shared_secret(ours.value()));
    const bool is_point = method.id >= 19 && method.id <= 21;
    CHECK(secret->size() == (is_point ? method.value_bytes / 2u : method.value_bytes));
  }
}

TEST_CASE("values of another length are refused") {
  for (const auto& method : diffie_hellman_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method);
    auto value = KeyExchangeHalf(method).value();
    value.pop_back();
    CHECK_FALSE(ours.shared_secret(value));
    value.resize(method.value_bytes + 1u);
    CHECK_FALSE(ours.shared_secret(value));
    CHECK_FALSE(ours.shared_secret({}));
  }
}

TEST_CASE("values that would give the secret away are refused") {
  for (const auto& method : diffie_hellman_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method);
    std::vector<std::uint8_t> value(method.value_bytes);
    CHECK_FALSE(ours.shared_secret(value));  // 0; not on the curve; of small order
    value.back() = 1;
    if (method.id != 31 && method.id != 32) CHECK_FALSE(ours.shared_secret(value));
    std::ranges::fill(value, std::uint8_t{0xff});  // at least the prime
    if (method.id != 31 && method.id != 32) CHECK_FALSE(ours.shared_secret(value));
  }
  // A point of order 8 (RFC 7748 6.1).
  const KeyExchangeHalf ours(*find_key_exchange(31));
  CHECK_FALSE(ours.shared_secret(hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")));
}

TEST_CASE("MODP secrets keep their leading zeros (RFC 7296 2.14)") {
  // One in 256 begins with one.
  const auto& method = *find_key_exchange(14);
  const KeyExchangeHalf ours(method);
  bool seen = false;
  for (int i = 0; i < 5'000 && !seen; ++i) {
    const auto secret = ours.shared_secret(KeyExchangeHalf(method).value());
    REQUIRE(secret);
    REQUIRE(secret->size() == 256);
    seen = secret->bytes().front() == 0;
  }
  CHECK(seen);
}

TEST_CASE("methods are found by their transform id") {
  CHECK(find_key_exchange(31)->name == "x25519");
  CHECK(find_key_exchange(14)->value_bytes == 256);
  CHECK(find_key_exchange(2) == nullptr);  // MODP-1024
  CHECK(find_key_exchange(0) == nullptr);
}
