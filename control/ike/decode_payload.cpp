#include "control/ike/decode_payload.hpp"

#include "control/ike/payload_layout.hpp"

namespace espgate::ike {
namespace {

constexpr std::string_view cut_off = "it is cut off";

Problem decode_transform(Reader reader, Transform& out) {
  out.type = TransformType{reader.take_u8()};
  reader.take_u8();
  out.id = reader.take_u16();
  while (!reader.failed() && !reader.at_end()) {
    const auto type = reader.take_u16();
    const auto value_or_length = reader.take_u16();
    if ((type & layout::attribute_is_short) == 0) reader.take(value_or_length);
    if (type == (layout::attribute_is_short | layout::key_length_attribute))
      out.key_bits = value_or_length;
    else
      out.unknown_attribute = true;
  }
  return reader.failed() ? Problem(cut_off) : Problem();
}

Problem decode_proposal(Reader reader, Proposal& out) {
  out.number = reader.take_u8();
  out.protocol = ProtocolId{reader.take_u8()};
  const auto spi_bytes = reader.take_u8();
  const auto transforms = reader.take_u8();
  out.spi = reader.take(spi_bytes);
  if (reader.failed()) return cut_off;
  if (transforms == 0) return "a proposal has no transform";
  for (unsigned i = 0; i < transforms; ++i) {
    const auto more = reader.take_u8();
    reader.take_u8();
    const std::size_t length = reader.take_u16();
    if (length < layout::substructure_header_bytes) return "a transform is shorter than its header";
    const auto body = reader.take(length - layout::substructure_header_bytes);
    if (reader.failed()) return cut_off;
    if (more != (i + 1 < transforms ? layout::more_transforms : 0))
      return "the number of transforms is not what the proposal says";
    if (const auto problem = decode_transform(Reader(body), out.transforms.emplace_back())) return problem;
  }
  return reader.at_end() ? Problem() : "there is something behind the last transform";
}

Problem decode_side(Reader& reader, TrafficSelectors& out) {
  const auto type = reader.take_u8();
  const auto protocol = reader.take_u8();
  const std::size_t length = reader.take_u16();
  if (length < layout::selector_header_bytes) return "a traffic selector is shorter than its header";
  Reader body(reader.take(length - layout::substructure_header_bytes));
  if (reader.failed()) return cut_off;
  if (type != layout::ipv4_range && type != layout::ipv6_range) {
    out.unknown_type = true;
    return {};
  }
  const auto family = type == layout::ipv4_range ? net::Family::v4 : net::Family::v6;
  SelectorSide side;
  if (protocol != 0) side.protocol = protocol;
  side.ports = {body.take_u16(), body.take_u16()};
  const std::size_t address_bytes = family == net::Family::v4 ? 4 : 16;
  const auto first = body.take(address_bytes);
  const auto last = body.take(address_bytes);
  if (body.failed() || !body.at_end()) return "a traffic selector's length does not fit its type";
  side.addresses = {net::Address::from_bytes(family, first.data()),
                    net::Address::from_bytes(family, last.data())};
  if (side.addresses.last < side.addresses.first) return "a traffic selector ends before it starts";
  const bool opaque = side.ports == layout::opaque_ports;
  if (side.ports.last < side.ports.first && !opaque)
    return "a traffic selector's ports end before they start";
  out.sides.push_back(side);
  return {};
}

}  // namespace

Problem decode_security_association(Reader reader, SecurityAssociation& out) {
  bool more = true;
  while (more) {
    const auto last_or_more = reader.take_u8();
    reader.take_u8();
    const std::size_t length = reader.take_u16();
    if (reader.failed()) return cut_off;
    if (length < layout::substructure_header_bytes) return "a proposal is shorter than its header";
    if (last_or_more != 0 && last_or_more != layout::more_proposals)
      return "a proposal is neither the last nor followed by one";
    const auto body = reader.take(length - layout::substructure_header_bytes);
    if (reader.failed()) return cut_off;
    auto& proposal = out.proposals.emplace_back();
    if (const auto problem = decode_proposal(Reader(body), proposal)) return problem;
    const auto count = out.proposals.size();
    if (count > 1 && proposal.number != out.proposals[count - 2].number + 1)
      return "proposals are not numbered one by one";
    more = last_or_more != 0;
  }
  return reader.at_end() ? Problem() : "there is something behind the last proposal";
}

Problem decode_key_exchange(Reader reader, KeyExchange& out) {
  out.method = reader.take_u16();
  reader.take_u16();
  if (reader.failed()) return cut_off;
  out.data = reader.take_rest();
  return out.data.empty() ? "it has no key" : Problem();
}

Problem decode_identification(Reader reader, Identification& out) {
  out.type = IdType{reader.take_u8()};
  reader.take(3);
  if (reader.failed()) return cut_off;
  out.data = reader.take_rest();
  const std::size_t address_bytes = out.type == IdType::ipv4 ? 4 : out.type == IdType::ipv6 ? 16 : 0;
  if (address_bytes != 0 && out.data.size() != address_bytes) return "the identity is not an address";
  return {};
}

Problem decode_certificate(Reader reader, Certificate& out) {
  out.encoding = CertificateEncoding{reader.take_u8()};
  if (reader.failed()) return cut_off;
  out.data = reader.take_rest();
  return {};
}

Problem decode_certificate_request(Reader reader, CertificateRequest& out) {
  out.encoding = CertificateEncoding{reader.take_u8()};
  if (reader.failed()) return cut_off;
  out.authorities = reader.take_rest();
  return {};
}

Problem decode_authentication(Reader reader, Authentication& out) {
  out.method = AuthMethod{reader.take_u8()};
  reader.take(3);
  if (reader.failed()) return cut_off;
  out.data = reader.take_rest();
  return {};
}

Problem decode_nonce(Reader reader, Bytes& out) {
  out = reader.take_rest();
  constexpr std::size_t least = 16;
  constexpr std::size_t most = 256;
  if (out.size() < least || out.size() > most) return "it is not of 16 to 256 bytes";
  return {};
}

Problem decode_notify(Reader reader, Notify& out) {
  out.protocol = ProtocolId{reader.take_u8()};
  const auto spi_bytes = reader.take_u8();
  out.type = NotifyType{reader.take_u16()};
  out.spi = reader.take(spi_bytes);
  if (reader.failed()) return cut_off;
  out.data = reader.take_rest();
  return {};
}

Problem decode_delete(Reader reader, Delete& out) {
  out.protocol = ProtocolId{reader.take_u8()};
  const auto spi_bytes = reader.take_u8();
  const std::size_t count = reader.take_u16();
  if (reader.failed()) return cut_off;
  if (out.protocol == ProtocolId::ike) {
    if (spi_bytes != 0 || count != 0 || !reader.at_end()) return "an IKE SA is deleted without naming an SPI";
    return {};
  }
  if (spi_bytes != layout::spi_bytes || reader.left() != count * layout::spi_bytes)
    return "the SPIs are not as many, or not as long, as it says";
  out.spis.reserve(count);
  for (std::size_t i = 0; i < count; ++i) out.spis.push_back(reader.take_u32());
  return {};
}

Problem decode_traffic_selectors(Reader reader, TrafficSelectors& out) {
  const auto count = reader.take_u8();
  reader.take(3);
  if (reader.failed()) return cut_off;
  if (count == 0) return "it has no traffic selector";
  for (unsigned i = 0; i < count; ++i)
    if (const auto problem = decode_side(reader, out)) return problem;
  return reader.at_end() ? Problem() : "there is something behind the last traffic selector";
}

Problem decode_configuration(Reader reader, ConfigurationPayload& out) {
  out.type = ConfigurationType{reader.take_u8()};
  reader.take(3);
  while (!reader.failed() && !reader.at_end()) {
    constexpr std::uint16_t type_mask = 0x7fff;
    const auto type = ConfigurationAttribute{static_cast<std::uint16_t>(reader.take_u16() & type_mask)};
    const auto length = reader.take_u16();
    out.attributes.push_back({type, reader.take(length)});
  }
  return reader.failed() ? Problem(cut_off) : Problem();
}

}  // namespace espgate::ike
