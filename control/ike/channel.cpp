#include "control/ike/channel.hpp"

namespace espgate::ike {
namespace {

Protection protection_of(const crypto::Suite& suite, const SaKeys& keys, bool initiators) {
  return initiators ? Protection(suite, keys.encryption_initiator, keys.integrity_initiator)
                    : Protection(suite, keys.encryption_responder, keys.integrity_responder);
}

}  // namespace

Channel::Channel(const Spis& spis, bool is_initiator, const crypto::Suite& suite, const SaKeys& keys)
    : spis_(spis),
      is_initiator_(is_initiator),
      ours_(protection_of(suite, keys, is_initiator)),
      theirs_(protection_of(suite, keys, !is_initiator)) {}

Messages Channel::seal(ExchangeType exchange, bool is_response, std::uint32_t id,
                       const PayloadWriter& payloads, std::size_t most_bytes) {
  Header header;
  header.initiator_spi = spis_.initiator;
  header.responder_spi = spis_.responder;
  header.exchange = exchange;
  header.flags =
      static_cast<std::uint8_t>((is_initiator_ ? flag_initiator : 0) | (is_response ? flag_response : 0));
  header.message_id = id;
  if (most_bytes == 0) return {ours_.seal(header, payloads.first(), payloads.bytes())};
  return ours_.seal_in_parts(header, payloads.first(), payloads.bytes(), most_bytes);
}

std::optional<Channel::Opened> Channel::open(const Header& header, Bytes datagram, std::size_t most_bytes) {
  Payloads outer;
  if (decode_payloads(header.first, datagram.subspan(header_bytes), outer)) return {};
  // Payloads outside are not for anybody: only what is inside was meant to be protected.
  if (outer.encrypted) {
    auto text = theirs_.open(datagram, outer.encrypted->content);
    if (!text) return {};
    return Opened{outer.encrypted->first, std::move(*text)};
  }
  if (!outer.encrypted_fragment) return {};
  const auto& fragment = *outer.encrypted_fragment;
  auto& parts = parts_[header.is_response()];
  if (most_bytes != 0 && !parts.wants(header.message_id, fragment)) return {};
  auto text = theirs_.open(datagram, fragment.content);
  if (!text) return {};
  Opened opened{PayloadType::none, {}, false, fragment.number == 1};
  if (most_bytes == 0) return opened;
  if (auto whole = parts.add(header.message_id, fragment, std::move(*text), most_bytes)) {
    opened.first = whole->first;
    opened.bytes = std::move(whole->bytes);
    opened.is_whole = true;
  }
  return opened;
}

void Channel::forget_parts() {
  for (auto& parts : parts_) parts = {};
}

}  // namespace espgate::ike
