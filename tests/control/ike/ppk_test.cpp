#include "control/ike/ppk.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "control/ike/keys.hpp"
#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using test::hex;

namespace {

const std::vector<Ppk> keys = {{hex("6131"), Secret(std::vector<std::uint8_t>(32, 1))},
                               {hex("6132"), Secret(std::vector<std::uint8_t>(32, 2))}};
const auto known = write_ppk_identity(keys[1].id);
const auto unknown = write_ppk_identity(hex("6133"));
const auto one_time = hex("01 6132");
const auto plain_auth = hex("aabbcc");

Payloads with(std::optional<Bytes> identity, std::optional<Bytes> without = {}) {
  Payloads payloads;
  if (identity) payloads.notifies.push_back({NotifyType::ppk_identity, *identity});
  if (without) payloads.notifies.push_back({NotifyType::no_ppk_auth, *without});
  return payloads;
}

std::vector<std::uint8_t> counting(std::size_t size, std::uint8_t start) {
  std::vector<std::uint8_t> bytes(size);
  std::iota(bytes.begin(), bytes.end(), start);
  return bytes;
}

}  // namespace

TEST_CASE("an identity goes out as PPK_ID_FIXED and comes back") {
  CHECK(known == hex("02 6132"));
  const auto id = read_ppk_identity(known);
  REQUIRE(id);
  CHECK(std::ranges::equal(*id, keys[1].id));
  CHECK_FALSE(read_ppk_identity({}));
  CHECK_FALSE(read_ppk_identity(hex("02")));
  CHECK_FALSE(read_ppk_identity(one_time));
}

TEST_CASE("after IKE_SA_INIT both know whether a PPK is to be used") {
  CHECK_FALSE(*plan_ppk(PpkUse::off, true));
  CHECK_FALSE(*plan_ppk(PpkUse::off, false));
  CHECK(*plan_ppk(PpkUse::optional, true));
  CHECK_FALSE(*plan_ppk(PpkUse::optional, false));
  CHECK(*plan_ppk(PpkUse::required, true));
  CHECK_FALSE(plan_ppk(PpkUse::required, false));
}

TEST_CASE("the responder finds the key, does without, or refuses (RFC 8784 3)") {
  for (const auto ours : {PpkUse::optional, PpkUse::required}) {
    const auto request = with(known, plain_auth);
    const auto answer = find_ppk(ours, keys, request);
    REQUIRE(answer);
    CHECK(answer->key == &keys[1]);
    CHECK_FALSE(answer->auth_without);
    // The peer requires it, and we do not have it.
    CHECK_FALSE(find_ppk(ours, keys, with(unknown)));
    CHECK_FALSE(find_ppk(ours, keys, with(one_time)));
  }
  const auto request = with(unknown, plain_auth);
  const auto answer = find_ppk(PpkUse::optional, keys, request);
  REQUIRE(answer);
  CHECK(answer->key == nullptr);
  CHECK(std::ranges::equal(answer->auth_without.value(), plain_auth));
  const auto refused = find_ppk(PpkUse::required, keys, request);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().what, Catch::Contains("\"key-id:a3\""));
  // It thought better of it.
  CHECK(find_ppk(PpkUse::optional, keys, with({}))->key == nullptr);
  CHECK_FALSE(find_ppk(PpkUse::optional, keys, with({}))->auth_without);
  CHECK_FALSE(find_ppk(PpkUse::required, keys, with({}, plain_auth)));
}

TEST_CASE("the initiator learns from the response whether its key counts") {
  CHECK(*ppk_confirmed(PpkUse::optional, with(Bytes())));
  CHECK(*ppk_confirmed(PpkUse::required, with(Bytes())));
  CHECK_FALSE(*ppk_confirmed(PpkUse::optional, with({})));
  CHECK_FALSE(ppk_confirmed(PpkUse::required, with({})));
}

TEST_CASE("a PPK is mixed into SK_d, SK_pi and SK_pr, and into nothing else") {
  // Expected values: prf+ by Python's hmac, anew.
  SaKeys keys256;
  keys256.d = Secret(counting(32, 1));
  keys256.proof_initiator = Secret(counting(32, 50));
  keys256.proof_responder = Secret(counting(32, 100));
  keys256.encryption_initiator = Secret(counting(20, 150));
  keys256.integrity_responder = Secret(counting(20, 200));
  const auto before = keys256;
  mix_ppk(Prf::hmac_sha2_256, Secret(counting(40, 7)), keys256);
  CHECK(keys256.d.bytes() == hex("b8cdfa6f08b7c9dbc89f02b1026aeeb0060b30330bfd7e2e53c858be98dec567"));
  CHECK(keys256.proof_initiator.bytes() ==
        hex("979ee23635908ddab2eb533dca4c43b29f7ccf023ec778630f6aa135564c1c25"));
  CHECK(keys256.proof_responder.bytes() ==
        hex("d88dbc48f7373678cf0bd88612f6c8cdd73b9f9fab7c90c53cfafd03f06acc8b"));
  CHECK(keys256.encryption_initiator == before.encryption_initiator);
  CHECK(keys256.integrity_responder == before.integrity_responder);

  SaKeys keys384;
  keys384.d = Secret(counting(48, 1));
  keys384.proof_initiator = Secret(counting(48, 50));
  keys384.proof_responder = Secret(counting(48, 100));
  mix_ppk(Prf::hmac_sha2_384, Secret(counting(32, 7)), keys384);
  CHECK(keys384.d.bytes() == hex("7cfda8098e771ef8875db582f7cdd82398328eecb0370be13eaa4ef437767bcb912ef32cae7"
                                 "e21fa890d592c70945fb9"));
}
