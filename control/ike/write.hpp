// IKEv2 messages as bytes. Any thread; the writer owns what it has written.
#pragma once

#include <cstdint>
#include <vector>

#include "control/ike/message.hpp"

namespace espgate::ike {

// Payloads one behind the other, each naming the next. What is given must be what decoding accepts, and no
// longer than its length fields can say: it comes from us.
class PayloadWriter {
 public:
  PayloadWriter& add(const SecurityAssociation& payload);
  PayloadWriter& add(const KeyExchange& payload);
  PayloadWriter& add_id_initiator(const Identification& payload);
  PayloadWriter& add_id_responder(const Identification& payload);
  PayloadWriter& add(const Certificate& payload);
  PayloadWriter& add(const CertificateRequest& payload);
  PayloadWriter& add(const Authentication& payload);
  PayloadWriter& add_nonce(Bytes nonce);
  PayloadWriter& add(const Notify& payload);
  PayloadWriter& add(const Delete& payload);
  PayloadWriter& add_vendor_id(Bytes id);
  PayloadWriter& add_ts_initiator(const TrafficSelectors& payload);
  PayloadWriter& add_ts_responder(const TrafficSelectors& payload);
  PayloadWriter& add(const ConfigurationPayload& payload);
  PayloadWriter& add_eap(Bytes message);

  PayloadType first() const { return first_; }
  Bytes bytes() const { return bytes_; }

 private:
  std::size_t begin(PayloadType type);
  void end(std::size_t at);
  PayloadWriter& add_bytes(PayloadType type, Bytes body);
  PayloadWriter& add_identification(PayloadType type, const Identification& payload);
  PayloadWriter& add_selectors(PayloadType type, const TrafficSelectors& payload);

  std::vector<std::uint8_t> bytes_;
  PayloadType first_ = PayloadType::none;
  std::size_t last_header_ = 0;
};

// A whole message of cleartext payloads; `header.first` is theirs.
std::vector<std::uint8_t> write_message(const Header& header, const PayloadWriter& payloads);
// A header for a message of so many bytes in all, and then room for the rest.
std::vector<std::uint8_t> write_header(const Header& header, std::size_t message_bytes);

}  // namespace espgate::ike
