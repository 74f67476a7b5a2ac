// How an IKE SA's two sides prove who they are, as the protocol core sees it (RFC 7296 2.15): the core asks
// for what our IKE_AUTH message says, and whether what the peer's says is proof. Shared keys are here; other
// methods implement the same interface.
//
// Everything is const and may be called on any thread, several at once: the core hands the calls that may
// take milliseconds to the thread pool. An authenticator is owned by its connection (shared, since calls
// under way outlive a reload). Errors' texts are for the operator; the peer only ever hears
// AUTHENTICATION_FAILED.
#pragma once

#include <cstdint>
#include <vector>

#include "control/ike/identity.hpp"
#include "control/ike/message.hpp"
#include "control/ike/prf.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::ike {

// A CERT payload that owns its bytes.
struct CertificateData {
  CertificateEncoding encoding{};
  std::vector<std::uint8_t> data;
};

// What an IKE_AUTH message carries of one side: AUTH and the certificates that support it.
struct Proof {
  AuthMethod method{};
  std::vector<std::uint8_t> data;
  std::vector<CertificateData> certificates;
  std::vector<std::uint8_t> without_ppk{};  // what `data` is if the peer has not our PPK; empty: it must
};

// What the peer said it can verify: SIGNATURE_HASH_ALGORITHMS (RFC 7427 4). We have one certificate, so
// CERTREQ chooses nothing.
struct PeerWishes {
  std::vector<std::uint16_t> signature_hashes;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;

  // Whether the peer may be this. Fast: called on the control loop to find the connection of an IKE_AUTH
  // request.
  virtual bool accepts(const Identity& peer) const = 0;
  // What we announce and ask for; none: no such payload. Fast.
  virtual std::vector<std::uint16_t> signature_hashes() const { return {}; }
  virtual std::vector<std::uint8_t> authorities() const { return {}; }

  // Our proof over the octets (signed_octets in keys.hpp). Any thread.
  virtual Expected<Proof> prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const = 0;
  // Whether `proof` shows that the sender is `peer`, over the peer's octets. Any thread.
  virtual Expected<void> verify(Prf prf, const Secret& octets, const Identity& peer,
                                const Proof& proof) const = 0;
};

// One key that both sides have, and the peers that may use it.
class SharedKeyAuthenticator final : public Authenticator {
 public:
  SharedKeyAuthenticator(Secret key, IdentityPattern peer);

  bool accepts(const Identity& peer) const override;
  Expected<Proof> prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const override;
  Expected<void> verify(Prf prf, const Secret& octets, const Identity& peer,
                        const Proof& proof) const override;

 private:
  Secret key_;
  IdentityPattern peer_;
};

}  // namespace espgate::ike
