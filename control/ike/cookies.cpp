#include "control/ike/cookies.hpp"

#include "control/ike/prf.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

void Cookies::renew(Time now) {
  if (now < renew_at_) return;
  const bool both_are_old = renew_at_ == Time::min() || now >= renew_at_ + life;
  renew_at_ = now + life;
  const auto next = static_cast<std::uint8_t>(generations_[0].number + 1);
  generations_[1] = both_are_old ? Generation() : std::move(generations_[0]);
  generations_[0] = {next, Secret(std::size_t{32})};
  random_(generations_[0].secret.writable());
}

std::vector<std::uint8_t> Cookies::compute(const Generation& generation, std::uint64_t initiator_spi,
                                           Bytes nonce, const Endpoint& from) const {
  std::array<std::uint8_t, 10> rest;
  net::store_be64(rest, 0, initiator_spi);
  net::store_be16(rest, 8, from.port);
  const auto mac =
      ike::compute(Prf::hmac_sha2_256, generation.secret.bytes(), {nonce, from.address.bytes, rest});
  std::vector<std::uint8_t> cookie{generation.number};
  cookie.resize(1 + mac.size());
  std::copy(mac.bytes().begin(), mac.bytes().end(), cookie.begin() + 1);
  return cookie;
}

std::vector<std::uint8_t> Cookies::make(std::uint64_t initiator_spi, Bytes nonce, const Endpoint& from,
                                        Time now) {
  renew(now);
  return compute(generations_[0], initiator_spi, nonce, from);
}

bool Cookies::verify(Bytes cookie, std::uint64_t initiator_spi, Bytes nonce, const Endpoint& from, Time now) {
  renew(now);
  for (const auto& generation : generations_)
    if (!generation.secret.empty() && !cookie.empty() && cookie[0] == generation.number)
      return equal_secrets(cookie, compute(generation, initiator_spi, nonce, from));
  return false;
}

}  // namespace espgate::ike
