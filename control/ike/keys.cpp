#include "control/ike/keys.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::array<std::uint8_t, 16> bytes_of(const Spis& spis) {
  std::array<std::uint8_t, 16> out;
  net::store_be64(out, 0, spis.initiator);
  net::store_be64(out, 8, spis.responder);
  return out;
}

Secret joined(std::initializer_list<Bytes> parts) {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  Secret out(size);
  auto at = out.writable().begin();
  for (const auto part : parts) at = std::ranges::copy(part, at).out;
  return out;
}

// SK(0) | Ni | Nr | SK(1) | ...
Secret seed_of(std::span<const Secret> shared, const Nonces& nonces) {
  Secret all =
      joined({shared.empty() ? Bytes() : Bytes(shared[0].bytes()), nonces.initiator, nonces.responder});
  for (std::size_t i = 1; i < shared.size(); ++i) all = joined({all.bytes(), shared[i].bytes()});
  return all;
}

}  // namespace

Secret first_seed(Prf prf, const Nonces& nonces, const Secret& shared) {
  const auto key = joined({nonces.initiator, nonces.responder});
  return compute(prf, key.bytes(), {shared.bytes()});
}

Secret next_seed(Prf prf, const Secret& old_d, std::span<const Secret> shared, const Nonces& nonces) {
  return compute(prf, old_d.bytes(), {seed_of(shared, nonces).bytes()});
}

SaKeys derive_keys(Prf prf, const Secret& seed, const Nonces& nonces, const Spis& spis,
                   const crypto::Suite& suite) {
  const std::size_t prf_size = prf_bytes(prf);
  const std::size_t integrity = suite.integrity_key_bytes;
  const std::size_t encryption = std::size_t{suite.key_bytes} + suite.salt_bytes;
  const auto all = expand(prf, seed.bytes(), {nonces.initiator, nonces.responder, bytes_of(spis)},
                          3 * prf_size + 2 * integrity + 2 * encryption);
  std::size_t at = 0;
  const auto take = [&](std::size_t size) {
    Secret part(size);
    std::ranges::copy(Bytes(all.bytes()).subspan(at, size), part.writable().begin());
    at += size;
    return part;
  };
  SaKeys keys;
  keys.d = take(prf_size);
  keys.integrity_initiator = take(integrity);
  keys.integrity_responder = take(integrity);
  keys.encryption_initiator = take(encryption);
  keys.encryption_responder = take(encryption);
  keys.proof_initiator = take(prf_size);
  keys.proof_responder = take(prf_size);
  return keys;
}

void mix_ppk(Prf prf, const Secret& ppk, SaKeys& keys) {
  for (auto* key : {&keys.d, &keys.proof_initiator, &keys.proof_responder})
    *key = expand(prf, ppk.bytes(), {key->bytes()}, prf_bytes(prf));
}

Secret child_keymat(Prf prf, const Secret& d, std::span<const Secret> shared, const Nonces& nonces,
                    const crypto::Suite& suite) {
  return expand(prf, d.bytes(), {seed_of(shared, nonces).bytes()}, std::size_t{2} * suite.keymat_bytes());
}

Secret signed_octets(Prf prf, std::span<const std::uint8_t> message, std::span<const std::uint8_t> nonce,
                     const Secret& proof, std::span<const std::uint8_t> id,
                     std::span<const std::uint8_t> intermediate) {
  const auto maced_id = compute(prf, proof.bytes(), {id});
  return joined({message, nonce, maced_id.bytes(), intermediate});
}

Secret shared_key_auth(Prf prf, const Secret& preshared_key, const Secret& octets) {
  constexpr std::string_view pad = "Key Pad for IKEv2";
  const auto key =
      compute(prf, preshared_key.bytes(), {{reinterpret_cast<const std::uint8_t*>(pad.data()), pad.size()}});
  return compute(prf, key.bytes(), {octets.bytes()});
}

}  // namespace espgate::ike
