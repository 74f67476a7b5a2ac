// What an IKE SA holds of an exchange while it is under way.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "control/ike/child_sa.hpp"
#include "control/ike/key_exchange.hpp"
#include "control/ike/keys.hpp"
#include "control/ike/message.hpp"

namespace espgate::ike {

// Of ours, under way or waiting for work.
struct Exchange {
  enum class Kind : std::uint8_t {
    none,
    ike_sa_init,
    ike_auth,
    create_child,
    rekey_child,
    rekey_ike,
    delete_children,
    delete_ike,
    liveness,
    routability,
    intermediate,
  };
  Kind kind = Kind::none;
  ChildHandle child;              // that is made
  std::uint32_t inbound_spi = 0;  // its, reserved; 0: none
  std::uint32_t rekeyed_spi = 0;  // inbound, of the child that it replaces
  bool unwanted = false;          // the child was terminated meanwhile: what is made is deleted
  std::vector<std::uint32_t> deleted;
  std::uint64_t ike_spi = 0;  // ours, of the IKE SA that is made
  Nonce nonce;
  std::uint16_t method = 0;  // of the key exchange; 0: none
  std::shared_ptr<KeyExchangeHalf> half;
  unsigned attempts = 0;             // with another method or a cookie, after the peer asked for it
  unsigned failures = 0;             // of the wanted child before
  std::optional<PeerRekey> rival;    // of the replaced child, when it is gone already
  std::vector<std::uint8_t> cookie;  // that the peer is to repeat from where it says to be
  Endpoint there;
};

// What of a child both sides agreed on.
struct ChildTerms {
  ChildHandle configuration;
  ChildChoice choice;
  TrafficSelectors ts_initiator;  // of this exchange
  TrafficSelectors ts_responder;
  std::vector<net::TrafficSelector> selectors;  // local is ours
  bool transport = false;
};

struct ExchangeNonces {
  Nonce initiator;
  Nonce responder;
  Nonces view() const { return {initiator, responder}; }
  const Nonce& lowest() const { return std::min(initiator, responder); }
};

// Decrypted payloads, which outlive work.
struct Inner {
  PayloadType first{};
  std::shared_ptr<const std::vector<std::uint8_t>> bytes;
  std::optional<DecodeError> decode(Payloads& out) const { return decode_payloads(first, *bytes, out); }
};

// As responder of a key exchange.
struct KeyAgreement {
  std::vector<std::uint8_t> value;
  std::optional<Secret> secret;
};

}  // namespace espgate::ike
