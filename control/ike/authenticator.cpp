#include "control/ike/authenticator.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/ike/keys.hpp"

namespace espgate::ike {

std::vector<std::uint8_t> Identity::body() const {
  constexpr std::size_t fields = 4;  // the type and three that are reserved
  std::vector<std::uint8_t> out(fields + data.size());
  out[0] = static_cast<std::uint8_t>(type);
  std::ranges::copy(data, out.begin() + fields);
  return out;
}

SharedKeyAuthenticator::SharedKeyAuthenticator(Secret key, std::optional<Identity> peer)
    : key_(std::move(key)), peer_(std::move(peer)) {}

bool SharedKeyAuthenticator::accepts(const Identity& peer) const {
  return !peer_ || *peer_ == peer;
}

Expected<Proof> SharedKeyAuthenticator::prove(Prf prf, const Secret& octets, const PeerWishes&) const {
  return Proof{AuthMethod::shared_key, shared_key_auth(prf, key_, octets).bytes(), {}};
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
