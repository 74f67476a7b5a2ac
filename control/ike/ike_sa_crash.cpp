// Tokens by which either side learns that the other has lost the IKE SA (RFC 6290), and what anybody may say.
#include <algorithm>

#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

void IkeSa::add_crash_token(PayloadWriter& payloads, const Spis& spis, std::uint64_t ours) const {
  if (const auto token = host_.crash_token(spis, ours))
    payloads.add(Notify{NotifyType::quick_crash_detection, *token, ProtocolId::ike});
}

void IkeSa::note_crash_token(const Payloads& payloads) {
  if (const auto* token = crash_token_of(payloads))
    peers_token_ = Secret({token->data.begin(), token->data.end()});
}

// With the keys of a rekey that we began come SPIs whose token the peer can have only now (RFC 6290 4.3).
void IkeSa::send_crash_token(Time now) {
  token_due_ = never;
  exchange_.kind = Exchange::Kind::liveness;
  PayloadWriter payloads;
  add_crash_token(payloads, spis_, is_initiator_ ? spis_.initiator : spis_.responder);
  send_request(ExchangeType::informational, payloads, now);
}

// Nobody has proved who sends it, but for the token, which the peer alone could make once it was gone: while
// it lives it gives no one but us any.
bool IkeSa::take_unprotected(const Header& header, const DatagramReceived& datagram, Time now) {
  if (state_ != State::established || header.exchange == ExchangeType::ike_auth) return false;
  Payloads payloads;
  if (decode_payloads(header.first, Bytes(datagram.bytes).subspan(header_bytes), payloads)) return false;
  if (payloads.encrypted || payloads.encrypted_fragment) return false;  // something stands in clear before it
  const bool is_proved = std::ranges::any_of(payloads.notifies, [this](const Notify& notify) {
    return notify.type == NotifyType::quick_crash_detection && !peers_token_.empty() &&
           equal_secrets(notify.data, peers_token_.bytes());
  });
  if (is_proved) {
    log(Level::warning, "the peer has started anew, as its token proves (RFC 6290)");
    host_.lost_by_peer(*this, now);
    end(End::failed, "the peer started anew", now);
  } else if (payloads.notify(NotifyType::invalid_ike_spi) != nullptr ||
             payloads.notify(NotifyType::invalid_spi) != nullptr) {
    doubt(now);
  }
  return true;
}

void IkeSa::doubt(Time now) {
  constexpr Time just_now = std::chrono::seconds(2), seldom = std::chrono::seconds(10);
  if (now < liveness_.heard + just_now || now < liveness_.not_doubted_before) return;
  liveness_.not_doubted_before = now + seldom;
  liveness_.is_doubted = true;
}

bool IkeSa::sends_on(std::uint32_t outbound_spi) const {
  return std::ranges::find(children_, outbound_spi, &Child::outbound_spi) != children_.end();
}

}  // namespace espgate::ike
