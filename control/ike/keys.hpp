// The key schedule of IKEv2 (RFC 7296 2.14 to 2.18, RFC 8784, RFC 9370). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "control/ike/prf.hpp"
#include "control/ike/spis.hpp"
#include "datapath/base/secret.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::ike {

struct SaKeys {
  Secret d;  // children's and successors' keys come from it
  Secret integrity_initiator;
  Secret integrity_responder;
  Secret encryption_initiator;  // with the salt
  Secret encryption_responder;
  Secret proof_initiator;  // of AUTH
  Secret proof_responder;
};

struct Nonces {
  std::span<const std::uint8_t> initiator;
  std::span<const std::uint8_t> responder;
};
// SKEYSEED of a new IKE SA, of one that replaces another (whose prf is `prf`, whose SK_d is `old_d`), and
// after each additional key exchange (RFC 9370 2.2.2; `old_d` is the SK_d so far). Of a successor `shared`
// has the secret of CREATE_CHILD_SA, and behind it those of IKE_FOLLOWUP_KE (2.2.4).
Secret first_seed(Prf prf, const Nonces& nonces, const Secret& shared);
Secret next_seed(Prf prf, const Secret& old_d, std::span<const Secret> shared, const Nonces& nonces);
SaKeys derive_keys(Prf prf, const Secret& seed, const Nonces& nonces, const Spis& spis,
                   const crypto::Suite& suite);
// Mixes a postquantum preshared key in (RFC 8784 3).
void mix_ppk(Prf prf, const Secret& ppk, SaKeys& keys);

// KEYMAT of a child SA: the initiator's outbound suite.keymat_bytes(), then the responder's. `shared` of its
// own key exchanges, as above, or none.
Secret child_keymat(Prf prf, const Secret& d, std::span<const Secret> shared, const Nonces& nonces,
                    const crypto::Suite& suite);

// What AUTH of a shared key is (RFC 7296 2.15). `message` is the first message as it was sent, `nonce` the
// other side's, `id` the body of our ID payload, `proof` our SK_p, `intermediate` IntAuth (RFC 9242 3.3.2) or
// empty.
Secret signed_octets(Prf prf, std::span<const std::uint8_t> message, std::span<const std::uint8_t> nonce,
                     const Secret& proof, std::span<const std::uint8_t> id,
                     std::span<const std::uint8_t> intermediate);
Secret shared_key_auth(Prf prf, const Secret& preshared_key, const Secret& octets);

}  // namespace espgate::ike
