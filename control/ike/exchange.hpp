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
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

struct ExchangeNonces {
  Nonce initiator;
  Nonce responder;
  Nonces view() const { return {initiator, responder}; }
  const Nonce& lowest() const { return std::min(initiator, responder); }
};

// What of a child both sides agreed on.
struct ChildTerms {
  ChildHandle configuration;
  ChildChoice choice;
  TrafficSelectors ts_initiator;  // of this exchange
  TrafficSelectors ts_responder;
  std::vector<net::TrafficSelector> selectors;  // local is ours
  bool transport = false;
  bool tfc_padding = true;     // the peer takes it (RFC 7296 3.10.1)
  bool more_possible = false;  // the peer would make others for what it left out (RFC 7296 2.9)
};

// The key exchanges of one CREATE_CHILD_SA: the first, if it has one, comes with it, the others each with an
// IKE_FOLLOWUP_KE (RFC 9370 2.2.4).
struct KeyExchanges {
  ExchangeNonces nonces;
  std::vector<std::uint16_t> additional{};  // the methods of the others
  std::vector<Secret> shared{};             // so far
  std::vector<std::uint8_t> link{};         // by what the responder knows what the next one is for

  bool are_complete() const { return additional.empty() || shared.size() > additional.size(); }
  std::uint16_t next() const { return additional[shared.size() - 1]; }
};

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
    update,
    intermediate,
  };
  Kind kind = Kind::none;
  bool makes_child() const { return kind == Kind::create_child || kind == Kind::rekey_child; }
  ChildHandle child;              // that is made
  std::uint32_t inbound_spi = 0;  // its, reserved; 0: none
  std::uint32_t rekeyed_spi = 0;  // inbound, of the child that it replaces
  bool unwanted = false;          // the child was terminated meanwhile: what is made is deleted
  TrafficSelectors local;         // that we offer for it
  TrafficSelectors remote;
  std::vector<std::uint32_t> deleted;
  std::uint64_t ike_spi = 0;  // ours, of the IKE SA that is made
  Nonce nonce;
  std::uint16_t method = 0;  // of the key exchange; 0: none
  std::shared_ptr<KeyExchangeHalf> half;
  unsigned attempts = 0;            // with another method or a cookie, after the peer asked for it
  unsigned refusals = 0;            // unprotected ones
  unsigned failures = 0;            // of the wanted child before
  std::optional<PeerRekey> rival;   // of the replaced child, when it is gone already
  std::optional<ChildTerms> terms;  // once CREATE_CHILD_SA is answered: of a child ...
  std::optional<IkeChoice> choice;  // ... or of an IKE SA
  KeyExchanges keys;
  Secret peers_token;  // of the IKE SA that is made (RFC 6290)
  // Outbound SPIs, unknown to us, that the peer deleted: it may mean the child, and its answer be lost.
  std::vector<std::uint32_t> gone;
  bool follows = false;              // what is under way is an IKE_FOLLOWUP_KE
  std::vector<std::uint8_t> cookie;  // that the peer is to repeat from where it says to be
  Endpoint there;                    // where that is, or where we say to be
  std::vector<net::Address> left;    // of ours, that it was sent from until they went
};

// The child that the peer wants replaced, as its REKEY_SA has it.
struct RekeyedChild {
  ProtocolId protocol;
  std::vector<std::uint8_t> spi;
  // Ours; 0: none that there could be.
  std::uint32_t outbound_spi() const {
    return protocol == ProtocolId::esp && spi.size() == 4 ? net::load_be32(spi, 0) : 0;
  }
};

// The peer's CREATE_CHILD_SA, answered: nothing is made before its key exchanges are complete.
struct PeerCreation {
  std::optional<ChildTerms> terms{};  // of a child ...
  std::uint32_t inbound_spi = 0;
  std::optional<RekeyedChild> rekeyed{};
  std::optional<IkeChoice> choice{};  // ... or of an IKE SA
  std::uint64_t ike_spi = 0;
  std::uint64_t heir = 0;  // its id
  KeyExchanges keys;
  Time until = never;  // the next one is waited for
};

// Decrypted payloads, which outlive work.
struct Inner {
  PayloadType first{};
  std::shared_ptr<const std::vector<std::uint8_t>> bytes;
  std::optional<DecodeError> decode(Payloads& out) const { return decode_payloads(first, *bytes, out); }
};

// What the peer said with IKE_SA_INIT.
struct PeerAbilities {
  bool fragments = false;
  bool childless = false;
  bool has_ppk = false;
  PeerWishes wishes;
};

// As responder of a key exchange.
struct KeyAgreement {
  std::vector<std::uint8_t> value;
  std::optional<Secret> secret;
};

}  // namespace espgate::ike
