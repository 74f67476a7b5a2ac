// IKEv2 messages as values, whichever way they go (RFC 7296 3).
//
//   datagram --decode_header--> Header
//            --decode_payloads--> Payloads (of the outer part, or of the decrypted inner one)
//   Payloads' members --PayloadWriter--> bytes --write_message--> datagram
//
// Decoding checks every length and count once; who holds a Payloads need not look again. The spans in it
// point into the decoded bytes, which must outlive it. What a sequence of payloads means (which must be
// there, what a proposal offers) is the exchange's business. No I/O, any thread; no error is fatal, memory is
// bounded by the size of the datagram.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "control/ike/protocol.hpp"
#include "datapath/net/traffic_selector.hpp"

namespace espgate::ike {

using Bytes = std::span<const std::uint8_t>;

struct Header {
  std::uint64_t initiator_spi = 0;
  std::uint64_t responder_spi = 0;
  PayloadType first = PayloadType::none;
  ExchangeType exchange = ExchangeType::ike_sa_init;
  std::uint8_t flags = 0;
  std::uint32_t message_id = 0;

  bool from_initiator() const { return (flags & flag_initiator) != 0; }
  bool is_response() const { return (flags & flag_response) != 0; }
  bool operator==(const Header&) const = default;
};

struct Transform {
  TransformType type{};
  std::uint16_t id = 0;
  std::uint16_t key_bits = 0;  // 0: no such attribute
  // It has an attribute that we do not know, so it is not to be chosen (RFC 7296 3.3.6).
  bool unknown_attribute = false;
  bool operator==(const Transform&) const = default;
};
struct Proposal {
  std::uint8_t number = 1;
  ProtocolId protocol{};
  Bytes spi;
  std::vector<Transform> transforms;
};
struct SecurityAssociation {
  std::vector<Proposal> proposals;  // one at least, numbered 1, 2, ...
};
struct KeyExchange {
  std::uint16_t method = 0;
  Bytes data;
};
struct Identification {
  IdType type{};
  Bytes data;
};
struct Certificate {
  CertificateEncoding encoding{};
  Bytes data;
};
struct CertificateRequest {
  CertificateEncoding encoding{};
  Bytes authorities;  // SHA-1 hashes of public keys, one behind the other
};
struct Authentication {
  AuthMethod method{};
  Bytes data;
};
struct Notify {
  NotifyType type{};
  Bytes data;
  ProtocolId protocol = ProtocolId::none;
  Bytes spi{};
};
struct Delete {
  ProtocolId protocol{};
  std::vector<std::uint32_t> spis;  // of ESP or AH; for IKE none: the SA that the message belongs to
};
// One side of a traffic selector. Opaque ports (RFC 7296 3.13.1) are 65535 to 0.
struct SelectorSide {
  net::AddressRange addresses;
  std::optional<std::uint8_t> protocol;  // none: any
  net::PortRange ports;
  bool operator==(const SelectorSide&) const = default;
};
struct TrafficSelectors {
  std::vector<SelectorSide> sides;
  bool unknown_type = false;  // some were left out
};
struct Attribute {
  ConfigurationAttribute type{};
  Bytes value;
};
struct ConfigurationPayload {
  ConfigurationType type{};
  std::vector<Attribute> attributes;
};
// SK: the IV, the ciphertext and the ICV. It is the last payload; `first` is the first one in it.
struct Encrypted {
  PayloadType first{};
  Bytes content;
};
// SKF (RFC 7383 2.5): 1 <= number <= total. Only of the first fragment `first` is not none.
struct EncryptedFragment {
  PayloadType first{};
  std::uint16_t number = 0;
  std::uint16_t total = 0;
  Bytes content;
};

struct Payloads {
  std::optional<SecurityAssociation> security_association;
  std::optional<KeyExchange> key_exchange;
  std::optional<Identification> id_initiator;
  std::optional<Identification> id_responder;
  std::optional<Authentication> authentication;
  std::optional<Bytes> nonce;  // 16 to 256 bytes
  std::optional<TrafficSelectors> ts_initiator;
  std::optional<TrafficSelectors> ts_responder;
  std::optional<ConfigurationPayload> configuration;
  std::optional<Bytes> eap;
  std::vector<Certificate> certificates;
  std::vector<CertificateRequest> certificate_requests;
  std::vector<Notify> notifies;
  std::vector<Delete> deletes;
  std::vector<Bytes> vendor_ids;
  std::optional<Encrypted> encrypted;
  std::optional<EncryptedFragment> encrypted_fragment;

  // The first of this type, or null.
  const Notify* notify(NotifyType type) const;
  // The first that says an error, or null.
  const Notify* error() const;
};

struct DecodeError {
  NotifyType notify;      // what a protected answer says
  std::uint8_t payload;   // the type it happened in; 0: the header
  std::string_view what;  // for the log; of static storage
  bool operator==(const DecodeError&) const = default;
};

// Payloads of this type hold others, protected. As a header's first one: nothing stands in clear in front.
bool is_sealed(PayloadType type);
// Of an answer to a request, whether an IKE SA is there or not.
Header answer_header(const Header& request);

// Both give nothing when all is well, and leave `out` in any state when not.
std::optional<DecodeError> decode_header(Bytes datagram, Header& out);
// `first` is the type of the first payload in `bytes`.
std::optional<DecodeError> decode_payloads(PayloadType first, Bytes bytes, Payloads& out);

}  // namespace espgate::ike
