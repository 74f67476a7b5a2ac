// Signatures in the AUTH payload: the method "Digital Signature" (RFC 7427), with RSA-PSS, ECDSA on NIST's
// curves and Ed25519 (RFC 8420). RSA PKCS#1 v1.5 is verified, since peers sign with it, and never made.
// SHA-1 is in neither. Any thread; both take tenths of milliseconds and more, so they are work for the pool.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "control/ike/public_key.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::ike {

// IANA's "IKEv2 Hash Algorithms". `identity`: the algorithm signs the octets themselves.
enum class Hash : std::uint16_t { sha2_256 = 2, sha2_384 = 3, sha2_512 = 4, identity = 5 };

// What one side can verify, as SIGNATURE_HASH_ALGORITHMS says (RFC 7427 4).
class HashSet {
 public:
  HashSet() = default;
  HashSet(std::initializer_list<Hash> hashes);
  static HashSet ours();
  // What we do not know is left out; none left: nothing can be signed for this peer.
  static HashSet of(std::span<const std::uint16_t> ids);

  std::vector<std::uint16_t> ids() const;
  bool has(Hash hash) const { return (bits_ >> static_cast<unsigned>(hash) & 1) != 0; }
  bool operator==(const HashSet&) const = default;

 private:
  unsigned bits_ = 0;
};

enum class Scheme : std::uint8_t { rsa_pss, rsa_pkcs1, ecdsa, ed25519 };

struct SignatureAlgorithm {
  Scheme scheme{};
  Hash hash{};
  std::uint16_t salt_bytes = 0;  // of RSA-PSS
  bool operator==(const SignatureAlgorithm&) const = default;
};

// Of an AlgorithmIdentifier's DER, the whole of it. Errors: not DER to the letter, an algorithm that is not
// ours, or parameters that it does not have.
Expected<SignatureAlgorithm> decode_algorithm(std::span<const std::uint8_t> der);
// "RSA-PSS with SHA2-256".
std::string to_string(const SignatureAlgorithm& algorithm);

// The data of an AUTH payload: the algorithm with its length in front, then the signature. The error says
// which hashes the peer would have had to accept.
Expected<std::vector<std::uint8_t>> sign(const PrivateKey& key, const HashSet& peer_accepts,
                                         std::span<const std::uint8_t> octets);
// The algorithm that it was good with. Errors: the data is not of that form, the algorithm is not one of
// ours or does not go with the key, or the signature is not of these octets.
Expected<SignatureAlgorithm> verify(const PublicKey& key, std::span<const std::uint8_t> auth_data,
                                    std::span<const std::uint8_t> octets);

}  // namespace espgate::ike
