#include "control/ike/decode_payload.hpp"

namespace espgate::ike {
namespace {

DecodeError invalid(PayloadType payload, std::string_view what) {
  return {NotifyType::invalid_syntax, static_cast<std::uint8_t>(payload), what};
}

// A payload that may come once.
template <typename Value>
std::optional<std::string_view> once(std::optional<Value>& slot, Bytes body,
                                     std::optional<std::string_view> (*decode)(Reader, Value&)) {
  if (slot) return "there are two of this payload";
  return decode(Reader(body), slot.emplace());
}

template <typename Value>
std::optional<std::string_view> again(std::vector<Value>& slots, Bytes body,
                                      std::optional<std::string_view> (*decode)(Reader, Value&)) {
  return decode(Reader(body), slots.emplace_back());
}

std::optional<std::string_view> take_all(Reader reader, Bytes& out) {
  out = reader.take_rest();
  return {};
}

std::optional<std::string_view> decode_one(PayloadType type, Bytes body, Payloads& out, bool& known) {
  switch (type) {
    case PayloadType::security_association:
      return once(out.security_association, body, decode_security_association);
    case PayloadType::key_exchange:
      return once(out.key_exchange, body, decode_key_exchange);
    case PayloadType::id_initiator:
      return once(out.id_initiator, body, decode_identification);
    case PayloadType::id_responder:
      return once(out.id_responder, body, decode_identification);
    case PayloadType::certificate:
      return again(out.certificates, body, decode_certificate);
    case PayloadType::certificate_request:
      return again(out.certificate_requests, body, decode_certificate_request);
    case PayloadType::authentication:
      return once(out.authentication, body, decode_authentication);
    case PayloadType::nonce:
      return once(out.nonce, body, decode_nonce);
    case PayloadType::notify:
      return again(out.notifies, body, decode_notify);
    case PayloadType::delete_sas:
      return again(out.deletes, body, decode_delete);
    case PayloadType::vendor_id:
      return again(out.vendor_ids, body, take_all);
    case PayloadType::ts_initiator:
      return once(out.ts_initiator, body, decode_traffic_selectors);
    case PayloadType::ts_responder:
      return once(out.ts_responder, body, decode_traffic_selectors);
    case PayloadType::configuration:
      return once(out.configuration, body, decode_configuration);
    case PayloadType::eap:
      return once(out.eap, body, take_all);
    case PayloadType::none:
    case PayloadType::encrypted:
    case PayloadType::encrypted_fragment:
      break;
  }
  known = false;
  return {};
}

std::optional<std::string_view> decode_fragment(PayloadType first, Bytes body, EncryptedFragment& out) {
  Reader reader(body);
  out.first = first;
  out.number = reader.take_u16();
  out.total = reader.take_u16();
  out.content = reader.take_rest();
  if (reader.failed()) return "it is cut off";
  if (out.number == 0 || out.number > out.total) return "the fragment's number is not within 1 to the total";
  if ((out.first != PayloadType::none) != (out.number == 1))
    return "the first fragment, and no other, names the first payload";
  return {};
}

}  // namespace

const Notify* Payloads::notify(NotifyType type) const {
  for (const auto& notify : notifies)
    if (notify.type == type) return &notify;
  return nullptr;
}

const Notify* Payloads::error() const {
  for (const auto& notify : notifies)
    if (is_error(notify.type)) return &notify;
  return nullptr;
}

bool is_sealed(PayloadType type) {
  return type == PayloadType::encrypted || type == PayloadType::encrypted_fragment;
}

Header answer_header(const Header& request) {
  Header answer;
  answer.initiator_spi = request.initiator_spi;
  answer.responder_spi = request.responder_spi;
  answer.exchange = request.exchange;
  answer.flags = static_cast<std::uint8_t>(flag_response | (request.from_initiator() ? 0 : flag_initiator));
  answer.message_id = request.message_id;
  return answer;
}

std::optional<DecodeError> decode_header(Bytes datagram, Header& out) {
  Reader reader(datagram);
  out.initiator_spi = reader.take_u64();
  out.responder_spi = reader.take_u64();
  out.first = PayloadType{reader.take_u8()};
  const auto version = reader.take_u8();
  out.exchange = ExchangeType{reader.take_u8()};
  out.flags = reader.take_u8();
  out.message_id = reader.take_u32();
  const auto length = reader.take_u32();
  if (reader.failed()) return invalid(PayloadType::none, "the header is cut off");
  if (version >> 4 > major_version)
    return DecodeError{NotifyType::invalid_major_version, 0, "a later major version"};
  if (version >> 4 < major_version) return invalid(PayloadType::none, "an earlier major version");
  if (length != datagram.size()) return invalid(PayloadType::none, "the length is not the datagram's");
  if (out.initiator_spi == 0) return invalid(PayloadType::none, "the initiator's SPI is 0");
  return {};
}

std::optional<DecodeError> decode_payloads(PayloadType first, Bytes bytes, Payloads& out) {
  out = {};
  Reader reader(bytes);
  constexpr std::uint8_t critical_bit = 0x80;
  for (auto type = first; type != PayloadType::none;) {
    const auto next = PayloadType{reader.take_u8()};
    const bool critical = (reader.take_u8() & critical_bit) != 0;
    const std::size_t length = reader.take_u16();
    if (reader.failed()) return invalid(type, "a payload header is cut off");
    if (length < payload_header_bytes) return invalid(type, "a payload is shorter than its header");
    const auto body = reader.take(length - payload_header_bytes);
    if (reader.failed()) return invalid(type, "a payload is longer than the message");

    // Their next payload is the first one inside, so nothing can come behind them.
    std::optional<std::string_view> problem;
    if (is_sealed(type)) {
      if (type == PayloadType::encrypted)
        out.encrypted = Encrypted{next, body};
      else
        problem = decode_fragment(next, body, out.encrypted_fragment.emplace());
      if (problem) return invalid(type, *problem);
      if (!reader.at_end()) return invalid(type, "there is something behind the encrypted payload");
      return {};
    }
    bool known = true;
    problem = decode_one(type, body, out, known);
    if (problem) return invalid(type, *problem);
    if (!known && critical)
      return DecodeError{NotifyType::unsupported_critical_payload, static_cast<std::uint8_t>(type),
                         "an unknown payload that is marked as critical"};
    type = next;
  }
  if (!reader.at_end()) return invalid(PayloadType::none, "there is something behind the last payload");
  return {};
}

}  // namespace espgate::ike
