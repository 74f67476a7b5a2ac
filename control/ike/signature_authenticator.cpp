#include "control/ike/signature_authenticator.hpp"

#include <fmt/format.h>

#include "control/ike/signature.hpp"

namespace espgate::ike {

SignatureAuthenticator::SignatureAuthenticator(std::shared_ptr<const OwnCertificate> ours,
                                               std::shared_ptr<const TrustStore> trust, IdentityPattern peer,
                                               Clock clock)
    : ours_(std::move(ours)), trust_(std::move(trust)), peer_(std::move(peer)), clock_(std::move(clock)) {}

bool SignatureAuthenticator::accepts(const Identity& peer) const {
  return peer_.matches(peer);
}

std::vector<std::uint16_t> SignatureAuthenticator::signature_hashes() const {
  return HashSet::ours().ids();
}

std::vector<std::uint8_t> SignatureAuthenticator::authorities() const {
  return trust_->key_hashes();
}

Expected<Proof> SignatureAuthenticator::prove(Prf, const Secret& octets, const PeerWishes& wishes) const {
  auto data = sign(ours_->key(), HashSet::of(wishes.signature_hashes), octets.bytes());
  if (!data) return std::move(data).error();
  return Proof{AuthMethod::digital_signature, *std::move(data), ours_->payloads(), {}};
}

Expected<void> SignatureAuthenticator::verify(Prf, const Secret& octets, const Identity& peer,
                                              const Proof& proof) const {
  if (proof.method != AuthMethod::digital_signature)
    return Error{
        fmt::format("the peer authenticates by method {} instead of a digital signature (14, RFC 7427)",
                    static_cast<int>(proof.method)),
        "configure the same method on both sides"};
  const auto key = trust_->verify(proof.certificates, peer, clock_());
  if (!key) return key.error();
  const auto algorithm = ike::verify(*key, proof.data, octets.bytes());
  if (!algorithm) return algorithm.error();
  return {};
}

TwoSidedAuthenticator::TwoSidedAuthenticator(std::shared_ptr<const Authenticator> ours,
                                             std::shared_ptr<const Authenticator> theirs)
    : ours_(std::move(ours)), theirs_(std::move(theirs)) {}

bool TwoSidedAuthenticator::accepts(const Identity& peer) const {
  return theirs_->accepts(peer);
}
std::vector<std::uint16_t> TwoSidedAuthenticator::signature_hashes() const {
  return theirs_->signature_hashes();
}
std::vector<std::uint8_t> TwoSidedAuthenticator::authorities() const {
  return theirs_->authorities();
}
Expected<Proof> TwoSidedAuthenticator::prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const {
  return ours_->prove(prf, octets, wishes);
}
Expected<void> TwoSidedAuthenticator::verify(Prf prf, const Secret& octets, const Identity& peer,
                                             const Proof& proof) const {
  return theirs_->verify(prf, octets, peer, proof);
}

}  // namespace espgate::ike
