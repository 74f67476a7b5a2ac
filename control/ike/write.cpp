#include "control/ike/write.hpp"

#include <cassert>

#include "control/ike/payload_layout.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

using Buffer = std::vector<std::uint8_t>;

void put_u8(Buffer& out, std::uint8_t value) {
  out.push_back(value);
}
template <typename Enumeration>
void put_enum8(Buffer& out, Enumeration value) {
  put_u8(out, static_cast<std::uint8_t>(value));
}
void put_u16(Buffer& out, std::size_t value) {
  assert(value <= 0xffff);
  put_u8(out, static_cast<std::uint8_t>(value >> 8));
  put_u8(out, static_cast<std::uint8_t>(value));
}
void put_u32(Buffer& out, std::uint32_t value) {
  put_u16(out, value >> 16);
  put_u16(out, value & 0xffff);
}
void put(Buffer& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
void put_reserved(Buffer& out, std::size_t count) {
  out.insert(out.end(), count, 0);
}
// Sets a length at `at` + 2, as all structures have it, that reaches to the end.
void close(Buffer& out, std::size_t at) {
  assert(out.size() - at <= 0xffff);
  net::store_be16(out, at + 2, static_cast<std::uint16_t>(out.size() - at));
}

void put_transform(Buffer& out, const Transform& transform, bool last) {
  const auto at = out.size();
  put_u8(out, last ? std::uint8_t{0} : layout::more_transforms);
  put_reserved(out, 3);
  put_enum8(out, transform.type);
  put_reserved(out, 1);
  put_u16(out, transform.id);
  if (transform.key_bits != 0) {
    put_u16(out, layout::attribute_is_short | layout::key_length_attribute);
    put_u16(out, transform.key_bits);
  }
  close(out, at);
}

void put_proposal(Buffer& out, const Proposal& proposal, bool last) {
  const auto at = out.size();
  put_u8(out, last ? std::uint8_t{0} : layout::more_proposals);
  put_reserved(out, 3);
  put_u8(out, proposal.number);
  put_enum8(out, proposal.protocol);
  put_u8(out, static_cast<std::uint8_t>(proposal.spi.size()));
  put_u8(out, static_cast<std::uint8_t>(proposal.transforms.size()));
  put(out, proposal.spi);
  for (const auto& transform : proposal.transforms)
    put_transform(out, transform, &transform == &proposal.transforms.back());
  close(out, at);
}

void put_side(Buffer& out, const SelectorSide& side) {
  const auto at = out.size();
  const bool v4 = side.addresses.first.family == net::Family::v4;
  put_u8(out, v4 ? layout::ipv4_range : layout::ipv6_range);
  put_u8(out, side.protocol.value_or(0));
  put_reserved(out, 2);
  put_u16(out, side.ports.first);
  put_u16(out, side.ports.last);
  for (const auto* address : {&side.addresses.first, &side.addresses.last})
    put(out, Bytes(address->bytes).first(v4 ? 4 : 16));
  close(out, at);
}

}  // namespace

// The payload before, or the message's header, gets to know what comes.
std::size_t PayloadWriter::begin(PayloadType type) {
  if (bytes_.empty())
    first_ = type;
  else
    bytes_[last_header_] = static_cast<std::uint8_t>(type);
  last_header_ = bytes_.size();
  put_reserved(bytes_, payload_header_bytes);
  return last_header_;
}

void PayloadWriter::end(std::size_t at) {
  close(bytes_, at);
}

PayloadWriter& PayloadWriter::add_bytes(PayloadType type, Bytes body) {
  const auto at = begin(type);
  put(bytes_, body);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add(const SecurityAssociation& payload) {
  const auto at = begin(PayloadType::security_association);
  for (const auto& proposal : payload.proposals)
    put_proposal(bytes_, proposal, &proposal == &payload.proposals.back());
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add(const KeyExchange& payload) {
  const auto at = begin(PayloadType::key_exchange);
  put_u16(bytes_, payload.method);
  put_reserved(bytes_, 2);
  put(bytes_, payload.data);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add_identification(PayloadType type, const Identification& payload) {
  const auto at = begin(type);
  put_enum8(bytes_, payload.type);
  put_reserved(bytes_, 3);
  put(bytes_, payload.data);
  end(at);
  return *this;
}
PayloadWriter& PayloadWriter::add_id_initiator(const Identification& payload) {
  return add_identification(PayloadType::id_initiator, payload);
}
PayloadWriter& PayloadWriter::add_id_responder(const Identification& payload) {
  return add_identification(PayloadType::id_responder, payload);
}

PayloadWriter& PayloadWriter::add(const Certificate& payload) {
  const auto at = begin(PayloadType::certificate);
  put_enum8(bytes_, payload.encoding);
  put(bytes_, payload.data);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add(const CertificateRequest& payload) {
  const auto at = begin(PayloadType::certificate_request);
  put_enum8(bytes_, payload.encoding);
  put(bytes_, payload.authorities);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add(const Authentication& payload) {
  const auto at = begin(PayloadType::authentication);
  put_enum8(bytes_, payload.method);
  put_reserved(bytes_, 3);
  put(bytes_, payload.data);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add_nonce(Bytes nonce) {
  return add_bytes(PayloadType::nonce, nonce);
}

PayloadWriter& PayloadWriter::add(const Notify& payload) {
  const auto at = begin(PayloadType::notify);
  put_enum8(bytes_, payload.protocol);
  put_u8(bytes_, static_cast<std::uint8_t>(payload.spi.size()));
  put_u16(bytes_, static_cast<std::uint16_t>(payload.type));
  put(bytes_, payload.spi);
  put(bytes_, payload.data);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add(const Delete& payload) {
  const auto at = begin(PayloadType::delete_sas);
  put_enum8(bytes_, payload.protocol);
  put_u8(bytes_, payload.protocol == ProtocolId::ike ? std::uint8_t{0} : std::uint8_t{layout::spi_bytes});
  put_u16(bytes_, payload.spis.size());
  for (const auto spi : payload.spis) put_u32(bytes_, spi);
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add_vendor_id(Bytes id) {
  return add_bytes(PayloadType::vendor_id, id);
}

PayloadWriter& PayloadWriter::add_selectors(PayloadType type, const TrafficSelectors& payload) {
  const auto at = begin(type);
  assert(payload.sides.size() <= 0xff);
  put_u8(bytes_, static_cast<std::uint8_t>(payload.sides.size()));
  put_reserved(bytes_, 3);
  for (const auto& side : payload.sides) put_side(bytes_, side);
  end(at);
  return *this;
}
PayloadWriter& PayloadWriter::add_ts_initiator(const TrafficSelectors& payload) {
  return add_selectors(PayloadType::ts_initiator, payload);
}
PayloadWriter& PayloadWriter::add_ts_responder(const TrafficSelectors& payload) {
  return add_selectors(PayloadType::ts_responder, payload);
}

PayloadWriter& PayloadWriter::add(const ConfigurationPayload& payload) {
  const auto at = begin(PayloadType::configuration);
  put_enum8(bytes_, payload.type);
  put_reserved(bytes_, 3);
  for (const auto& attribute : payload.attributes) {
    put_u16(bytes_, static_cast<std::uint16_t>(attribute.type));
    put_u16(bytes_, attribute.value.size());
    put(bytes_, attribute.value);
  }
  end(at);
  return *this;
}

PayloadWriter& PayloadWriter::add_eap(Bytes message) {
  return add_bytes(PayloadType::eap, message);
}

std::vector<std::uint8_t> write_header(const Header& header, std::size_t message_bytes) {
  std::vector<std::uint8_t> out(header_bytes);
  out.reserve(message_bytes);
  net::store_be64(out, 0, header.initiator_spi);
  net::store_be64(out, 8, header.responder_spi);
  out[16] = static_cast<std::uint8_t>(header.first);
  out[17] = major_version << 4;
  out[18] = static_cast<std::uint8_t>(header.exchange);
  out[19] = header.flags;
  net::store_be32(out, 20, header.message_id);
  net::store_be32(out, 24, static_cast<std::uint32_t>(message_bytes));
  return out;
}

std::vector<std::uint8_t> write_message(const Header& header, const PayloadWriter& payloads) {
  Header complete = header;
  complete.first = payloads.first();
  auto out = write_header(complete, header_bytes + payloads.bytes().size());
  put(out, payloads.bytes());
  return out;
}

}  // namespace espgate::ike
