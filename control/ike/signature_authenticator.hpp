// Authentication by certificates (RFC 7296 2.15, RFC 7427), and with a method of its own for each side.
#pragma once

#include <ctime>
#include <functional>
#include <memory>

#include "control/ike/authenticator.hpp"
#include "control/ike/certificate.hpp"
#include "control/ike/trust.hpp"

namespace espgate::ike {

// We sign with our key; the peer shows a certificate of a CA that we trust, and signs with its.
class SignatureAuthenticator final : public Authenticator {
 public:
  using Clock = std::function<std::time_t()>;

  // One of the first two may be null when a TwoSidedAuthenticator never asks for what it is for: `ours` to
  // prove, `trust` for all else. `clock` tells the seconds since 1970, on any thread.
  SignatureAuthenticator(
      std::shared_ptr<const OwnCertificate> ours, std::shared_ptr<const TrustStore> trust,
      IdentityPattern peer, Clock clock = [] { return std::time(nullptr); });

  bool accepts(const Identity& peer) const override;
  std::vector<std::uint16_t> signature_hashes() const override;
  std::vector<std::uint8_t> authorities() const override;
  Expected<Proof> prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const override;
  Expected<void> verify(Prf prf, const Secret& octets, const Identity& peer,
                        const Proof& proof) const override;

 private:
  std::shared_ptr<const OwnCertificate> ours_;
  std::shared_ptr<const TrustStore> trust_;
  IdentityPattern peer_;
  Clock clock_;
};

// The two sides need not authenticate in the same way (RFC 7296 2.15): `ours` proves, `theirs` verifies.
class TwoSidedAuthenticator final : public Authenticator {
 public:
  TwoSidedAuthenticator(std::shared_ptr<const Authenticator> ours,
                        std::shared_ptr<const Authenticator> theirs);

  bool accepts(const Identity& peer) const override;
  std::vector<std::uint16_t> signature_hashes() const override;
  std::vector<std::uint8_t> authorities() const override;
  Expected<Proof> prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const override;
  Expected<void> verify(Prf prf, const Secret& octets, const Identity& peer,
                        const Proof& proof) const override;

 private:
  std::shared_ptr<const Authenticator> ours_;
  std::shared_ptr<const Authenticator> theirs_;
};

}  // namespace espgate::ike
