#include "control/ike/authenticator.hpp"

#include <fmt/format.h>

#include "control/ike/keys.hpp"

namespace espgate::ike {

SharedKeyAuthenticator::SharedKeyAuthenticator(Secret key, IdentityPattern peer)
    : key_(std::move(key)), peer_(std::move(peer)) {}

bool SharedKeyAuthenticator::accepts(const Identity& peer) const {
  return peer_.matches(peer);
}

Expected<Proof> SharedKeyAuthenticator::prove(Prf prf, const Secret& octets, const PeerWishes&) const {
  return Proof{AuthMethod::shared_key, shared_key_auth(prf, key_, octets).bytes(), {}, {}};
}

Expected<void> SharedKeyAuthenticator::verify(Prf prf, const Secret& octets, const Identity&,
                                              const Proof& proof) const {
  if (proof.method != AuthMethod::shared_key)
    return Error{fmt::format("the peer authenticates by method {} instead of a shared key",
                             static_cast<int>(proof.method)),
                 "configure the same method on both sides"};
  if (!equal_secrets(shared_key_auth(prf, key_, octets).bytes(), proof.data))
    return Error{"the peer's AUTH was not made with our shared key", "configure the same key on both sides"};
  return {};
}

}  // namespace espgate::ike
