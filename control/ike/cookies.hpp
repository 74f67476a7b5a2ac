// COOKIEs of IKE_SA_INIT (RFC 7296 2.6): proof that an initiator receives what is sent to its address,
// without remembering it. One owner.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "control/ike/endpoint.hpp"
#include "control/ike/message.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::ike {

// Fills the bytes with what nobody can foresee.
using RandomSource = std::function<void(std::span<std::uint8_t>)>;

class Cookies {
 public:
  // A cookie is good for one to two of these.
  static constexpr Time life = std::chrono::seconds(60);

  explicit Cookies(RandomSource random) : random_(std::move(random)) {}

  std::vector<std::uint8_t> make(std::uint64_t initiator_spi, Bytes nonce, const Endpoint& from, Time now);
  bool verify(Bytes cookie, std::uint64_t initiator_spi, Bytes nonce, const Endpoint& from, Time now);

 private:
  struct Generation {
    std::uint8_t number = 0;
    Secret secret;
  };
  void renew(Time now);
  std::vector<std::uint8_t> compute(const Generation& generation, std::uint64_t initiator_spi, Bytes nonce,
                                    const Endpoint& from) const;

  RandomSource random_;
  std::array<Generation, 2> generations_;  // this one and the one before
  Time renew_at_ = Time::min();
};

}  // namespace espgate::ike
