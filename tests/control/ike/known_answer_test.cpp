// Known answers of others: NIST's for the key schedule, the RFCs' for the key exchange groups.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "control/ike/key_exchange.hpp"
#include "control/ike/keys.hpp"
#include "control/ike/openssl.hpp"
#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using test::hex;

namespace {

using Value = std::vector<std::uint8_t>;
using Number = std::unique_ptr<BIGNUM, Release<BN_free>>;
using Scratch = std::unique_ptr<BN_CTX, Release<BN_CTX_free>>;
using Group = std::unique_ptr<EC_GROUP, Release<EC_GROUP_free>>;
using Point = std::unique_ptr<EC_POINT, Release<EC_POINT_free>>;

Number number(const Value& bytes) {
  return Number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

Value bytes_of(const BIGNUM* value, std::size_t size) {
  Value bytes(size);
  REQUIRE(BN_bn2binpad(value, bytes.data(), static_cast<int>(size)) == static_cast<int>(size));
  return bytes;
}

Value part(std::string_view text, std::size_t at, std::size_t bytes) {
  return hex(std::string(text.substr(2 * at, 2 * bytes)));
}

}  // namespace

TEST_CASE("the key schedule is NIST's (CAVP for SP 800-135, IKEv2, SHA-256)") {
  const auto ni =
      hex("0a58fea9c1d4fee2e74e1aad6fb02dd5f318eb127465a112be8dc3c04d5dba62eae708f9dc1b2362afd6ba4b"
          "da3cf5000f4979fbcbadbcfda9291593829c4e905c21db0c2ee15175ce77a8a0dadf25c7f175bc53fd91b636"
          "a9b3c50b203de9b9d6dc463dcb4048f101e26498ceaed3afbcd931394a7e099392dfff82e5d6fa85c2e8a8ab"
          "90ad363a66795dc32798847e405acd87988140f973058917273a6b0bafb962c75e2b1a21e79c08beeb82168b"
          "f8b4b57f3dce867bf7862a7b8acbc21be838021913daf64340c055ed17aaf7b6e1d0ca33ae890ddbdb83f4e6"
          "15aad5e3bff58c3db70bac81a0dfbabe5391fc62bca4659e22a0741e01d8d06e67d9bb41");
  const auto nr =
      hex("e4fdfa68df6171d9eaff8b7b5ad31e7c6098d259f3397c9854cbefe7449b0864c1df16ddece8b26567560f8d"
          "59182a44c19149c2d0d72606a160021ade3d23c7c6936c91a4b6bec37adf38cfc84b851c68dcee06f81306f6"
          "3abbefc07e231e3058c49437a557df617eac01663593d2a3e594699284c0a35eae6931492ccb2a43db72a600"
          "a3899205d681d2b76b1280e456339bb10e0c584aecfdae31c77a4c40dbcb345f782ac32835d4c220c1e97254"
          "ded6a40075dd717b00b69c86a49e801773026536ae02d58a649827f1ba67610ee936dffd11c9d5a915663191"
          "6a0a0046ec0ba42f56f2a18de83d5d71a985b0cc9eec2c06b3d907ca58454419f374069d");
  const Nonces nonces{ni, nr};
  const Secret shared(hex("9d469de41b4739c7dd01f19aa94f17e48150ae9dbede94832142db19"));
  const Secret next(hex("c2987b0767006c3b9aea491bfed1646a3d7194639492b8d45b23b383"));
  constexpr std::string_view keymat =
      "bc83518f63b762874ac57947cdfae33a8d9724df0b83ee4b6df38c23fc2ad829f4d70b5a68dd1f5a52416f09"
      "758638aedf919c09a17c5298cdb703bb75b1005cba0109739aaa4efd2fe7534c95ad05e546e4419931270edd"
      "cab68ac1589d7fde47f5b9e8d5b614cb24ec3caf515497a9e99ee6f1b318ff153b539ef071dcaff9b41945dc"
      "b780700d69e5dc888a91de195c52825badfd0ab4c33cec71ab5c2b4badefe5455455ce5d8ae91721a2091bcc"
      "cc1514e69482c9c8da1d9f0f187eedda916393570a8c0a8dfabc26d8ed31e8ea47662515972a22d11d692bc1"
      "fac6395a";
  const auto prf = Prf::hmac_sha2_256;
  const auto& suite = crypto::suite(crypto::SuiteId::aes_cbc_256_sha256);
  const auto seed = first_seed(prf, nonces, shared);
  CHECK(seed.bytes() == hex("eec13ac67c2e072abb684ab4e7b6ce3e7f400af8b96bed48e113497ed337f8d4"));
  const auto keys = derive_keys(prf, seed, nonces, {0xc8de93111750e409, 0x32d51b33508997fa}, suite);
  std::size_t at = 0;
  for (const auto* key :
       {&keys.d, &keys.integrity_initiator, &keys.integrity_responder, &keys.encryption_initiator,
        &keys.encryption_responder, &keys.proof_initiator, &keys.proof_responder}) {
    CHECK(key->bytes() == part(keymat, at, 32));
    at += 32;
  }
  CHECK(2 * at == keymat.size());
  CHECK(next_seed(prf, keys.d, {&next, 1}, nonces).bytes() ==
        hex("05f796c8df322a7e33283ae5fa2f376d8d5efa0ac3745fc548e430031424c121"));
  CHECK(child_keymat(prf, keys.d, {}, nonces, suite).bytes() ==
        hex("c725012285d56e53244a9baaaf95abfca543708d333a3f3a86ba660e00edd4d489bcd631819fda0413382edd"
            "9f53d1ed718e056c2ad91d38de90f06cd434de70141d051c021e7ddd6e4137946b4770dca59a4decabdd8668"
            "52eb557fdd995646613ff2923f5f23aa58c8fbd5ad52cf2eac9bda97faad5596695f4a747a0f1cc6"));
  CHECK(child_keymat(prf, keys.d, {&next, 1}, nonces, suite).bytes() ==
        hex("140a1f2a3c94318ece6edfa8c63f37d8d45982de8b6cbfe34011150db0253e34de3796d4aa579954a0bbf234"
            "794eb6e7ece2a8f91100f5507df4ee8e66c7813d4c0ff64d484a3494c54b0d9c605ea24234a49a010ce5c352"
            "feb9e1060c8c787229466296cdc9d11bb9d221ed2bb39544572464254ec02a0fbe777b07402c775e"));
}

// The peer has the responder's private key of RFC 5903 8, and works by points.
TEST_CASE("ECP groups are those of RFC 5903: its keys fit, and the secret is the x coordinate alone") {
  const struct {
    std::uint16_t id;
    int curve;
    const char *secret, *value;
  } peers[] = {
      {19, NID_X9_62_prime256v1, "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
       "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c"
       "13c58d6aac23f046ada30f8353e74f33039872ab"},
      {20, NID_secp384r1,
       "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd5"
       "5a7448fc",
       "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0"
       "774a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff"
       "5eaad96db9e6386c"},
      {21, NID_secp521r1,
       "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a"
       "3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
       "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352"
       "f6be64a6c2912d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551"
       "a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a"},
  };
  for (const auto& peer : peers) {
    CAPTURE(peer.id);
    const auto& method = *find_key_exchange(peer.id);
    const auto size = method.value_bytes / std::size_t{2};
    const Group group(EC_GROUP_new_by_curve_name(peer.curve));
    const Scratch scratch(BN_CTX_new());
    const auto secret = number(hex(peer.secret));
    const Point point(EC_POINT_new(group.get()));
    const Number x(BN_new()), y(BN_new());
    const auto coordinates = [&] {
      REQUIRE(EC_POINT_get_affine_coordinates(group.get(), point.get(), x.get(), y.get(), scratch.get()) ==
              1);
      auto bytes = bytes_of(x.get(), size);
      const auto rest = bytes_of(y.get(), size);
      bytes.insert(bytes.end(), rest.begin(), rest.end());
      return bytes;
    };
    REQUIRE(EC_POINT_mul(group.get(), point.get(), secret.get(), nullptr, nullptr, scratch.get()) == 1);
    CHECK(coordinates() == hex(peer.value));

    const KeyExchangeHalf ours(method);
    const auto& value = ours.value();
    REQUIRE(value.size() == 2 * size);
    const Number our_x(BN_bin2bn(value.data(), static_cast<int>(size), nullptr));
    const Number our_y(BN_bin2bn(value.data() + size, static_cast<int>(size), nullptr));
    REQUIRE(EC_POINT_set_affine_coordinates(group.get(), point.get(), our_x.get(), our_y.get(),
                                            scratch.get()) == 1);
    REQUIRE(EC_POINT_mul(group.get(), point.get(), nullptr, point.get(), secret.get(), scratch.get()) == 1);
    auto expected = coordinates();
    expected.resize(size);
    const auto shared = ours.shared_secret(hex(peer.value));
    REQUIRE(shared);
    CHECK(shared->bytes() == expected);
  }
}

// The primes are 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + k), computed from that by Python.
TEST_CASE("MODP groups are those of RFC 3526, with the generator 2") {
  const struct {
    std::uint16_t id;
    const char* prime;
  } groups[] = {
      {14,
       "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a0879"
       "8e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b"
       "0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da4836"
       "1c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804"
       "f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6"
       "955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"},
      {15,
       "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a0879"
       "8e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b"
       "0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da4836"
       "1c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804"
       "f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6"
       "955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33a85521abdf1cba64"
       "ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e04a25619dcee3d226"
       "1ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2"
       "08e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff"},
      {16,
       "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a0879"
       "8e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b"
       "0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da4836"
       "1c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804"
       "f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6"
       "955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33a85521abdf1cba64"
       "ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e04a25619dcee3d226"
       "1ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2"
       "08e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d788719a10bdba5b2699c32718"
       "6af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6287c59474e6bc05d"
       "99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa993b4ea98"
       "8d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff"},
  };
  for (const auto& group : groups) {
    CAPTURE(group.id);
    const auto& method = *find_key_exchange(group.id);
    const auto prime = number(hex(group.prime));
    const Scratch scratch(BN_CTX_new());
    const auto secret = number(hex(
        "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc"));
    const Number generator(BN_new()), result(BN_new());
    BN_set_word(generator.get(), 2);
    REQUIRE(BN_mod_exp(result.get(), generator.get(), secret.get(), prime.get(), scratch.get()) == 1);
    const auto peers = bytes_of(result.get(), method.value_bytes);

    const KeyExchangeHalf ours(method);
    const auto value = number(ours.value());
    REQUIRE(BN_mod_exp(result.get(), value.get(), secret.get(), prime.get(), scratch.get()) == 1);
    const auto shared = ours.shared_secret(peers);
    REQUIRE(shared);
    CHECK(shared->bytes() == bytes_of(result.get(), method.value_bytes));
  }
}

// Bob's private key of RFC 7748 6 makes Alice's value the secret that is there, and our value ours.
TEST_CASE("x25519 and x448 are those of RFC 7748") {
  const struct {
    std::uint16_t id;
    const char *algorithm, *secret, *value, *other, *shared;
  } peers[] = {
      {31, "X25519", "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
       "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
       "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
       "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
      {32, "X448",
       "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f1"
       "0b65173992d",
       "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc"
       "1c67bf33609",
       "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f8"
       "0e532c41fa0",
       "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5"
       "037514a879d"},
  };
  for (const auto& peer : peers) {
    CAPTURE(peer.algorithm);
    const auto secret = hex(peer.secret);
    const Key key(
        EVP_PKEY_new_raw_private_key_ex(nullptr, peer.algorithm, nullptr, secret.data(), secret.size()));
    REQUIRE(key);
    const auto derived = [&](const Value& value) {
      const Key public_key(
          EVP_PKEY_new_raw_public_key_ex(nullptr, peer.algorithm, nullptr, value.data(), value.size()));
      const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
      Value result(value.size());
      std::size_t size = result.size();
      REQUIRE(EVP_PKEY_derive_init(context.get()) == 1);
      REQUIRE(EVP_PKEY_derive_set_peer(context.get(), public_key.get()) == 1);
      REQUIRE(EVP_PKEY_derive(context.get(), result.data(), &size) == 1);
      return result;
    };
    CHECK(derived(hex(peer.other)) == hex(peer.shared));
    const KeyExchangeHalf ours(*find_key_exchange(peer.id));
    const auto shared = ours.shared_secret(hex(peer.value));
    REQUIRE(shared);
    CHECK(shared->bytes() == derived(ours.value()));
  }
}
