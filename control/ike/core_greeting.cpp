// IKE_SA_INIT requests of strangers: what is decided before anything is remembered of them (RFC 7296 2.6).
#include <fmt/format.h>

#include "control/ike/core.hpp"
#include "control/ike/describe.hpp"

namespace espgate::ike {

bool IkeCore::may_tell_of_stranger(Time now) {
  constexpr Time minute = std::chrono::minutes(1);
  if (stranger_minute_ == Time::min() || now >= stranger_minute_ + minute) {
    stranger_minute_ = now;
    stranger_lines_ = 0;
  }
  if (stranger_lines_ >= limits_.stranger_lines_per_minute) return false;
  ++stranger_lines_;
  return true;
}

void IkeCore::log_stranger(const std::string& text, const std::string& connection, Time now) {
  if (may_tell_of_stranger(now)) act(LogLine{Level::warning, text, connection});
}

void IkeCore::refuse_by(Limit limit, std::size_t most, const Endpoint& peer, Time now) {
  if (refusals_.add(limit, now))
    act(LogLine{
        Level::warning,
        fmt::format("peer {}: a new IKE SA is refused, since there are {} as limits.{} allows; so far "
                    "{} were",
                    to_string(peer), most, name(limit), refusals_.count(limit))});
}

void IkeCore::refuse(const Header& header, const DatagramReceived& datagram, NotifyType error, Bytes data) {
  act(SendDatagram{datagram.to, datagram.from,
                   write_message(answer_header(header), PayloadWriter().add(Notify{error, data}))});
}

void IkeCore::on_greeting(const Header& header, const DatagramReceived& datagram, Time now) {
  if (!header.from_initiator() || header.message_id != 0 || header.responder_spi != 0 || is_stopping_) return;
  if (const auto known = half_open_.find({header.initiator_spi, datagram.from}))
    return find(known)->greeting_repeated(datagram.bytes);
  if (datagram.bytes.size() > limits_.greeting_bytes)
    return log_stranger(fmt::format("peer {}: an IKE_SA_INIT of {} bytes is not read",
                                    to_string(datagram.from), datagram.bytes.size()),
                        "", now);
  Payloads payloads;
  const auto error = decode_payloads(header.first, Bytes(datagram.bytes).subspan(header_bytes), payloads);
  if (error) {
    log_stranger(fmt::format("peer {}: its IKE_SA_INIT cannot be read: payload {}: {}",
                             to_string(datagram.from), error->payload, error->what),
                 "", now);
    const std::uint8_t type[] = {error->payload};
    const bool critical = error->notify == NotifyType::unsupported_critical_payload;
    return refuse(header, datagram, error->notify, critical ? Bytes(type) : Bytes());
  }
  if (!payloads.security_association || !payloads.key_exchange || !payloads.nonce) {
    log_stranger(fmt::format("peer {}: its IKE_SA_INIT has no proposals, no key exchange or no nonce",
                             to_string(datagram.from)),
                 "", now);
    return refuse(header, datagram, NotifyType::invalid_syntax, {});
  }
  // Up to here it cost a hash at most, and no memory.
  if (sas_.size() >= limits_.ike_sas) return refuse_by(Limit::ike_sas, limits_.ike_sas, datagram.from, now);
  const bool showed_cookie = has_cookie(header, datagram, payloads, now);
  switch (half_open_.decide(datagram.from.address, showed_cookie)) {
    case HalfOpen::Decision::let_in:
      return accept_greeting(header, datagram, payloads, showed_cookie, now);
    case HalfOpen::Decision::ask_for_cookie:
      return refuse(header, datagram, NotifyType::cookie,
                    cookies_.make(header.initiator_spi, *payloads.nonce, datagram.from, now));
    case HalfOpen::Decision::all_full:
      return refuse_by(Limit::ike_half_open, limits_.half_open, datagram.from, now);
    case HalfOpen::Decision::source_full:
      return refuse_by(Limit::ike_half_open_per_source, limits_.half_open_per_source, datagram.from, now);
  }
}

bool IkeCore::has_cookie(const Header& header, const DatagramReceived& datagram, const Payloads& payloads,
                         Time now) {
  const auto* cookie = payloads.notify(NotifyType::cookie);
  return cookie != nullptr &&
         cookies_.verify(cookie->data, header.initiator_spi, *payloads.nonce, datagram.from, now);
}

void IkeCore::accept_greeting(const Header& header, const DatagramReceived& datagram,
                              const Payloads& payloads, bool showed_cookie, Time now) {
  const auto found = candidates(datagram.to, datagram.from);
  for (const auto& candidate : found) {
    const auto choice =
        choose(*payloads.security_association, candidate->algorithms, payloads.key_exchange->method);
    if (!choice) continue;
    if (choice->key_exchange != payloads.key_exchange->method) {
      const std::uint8_t wanted[] = {static_cast<std::uint8_t>(choice->key_exchange >> 8),
                                     static_cast<std::uint8_t>(choice->key_exchange)};
      return refuse(header, datagram, NotifyType::invalid_ke_payload, wanted);
    }
    // Its length is known before any state is.
    const auto* method = find_key_exchange(choice->key_exchange);
    if (method == nullptr || payloads.key_exchange->data.size() != method->value_bytes)
      return refuse(header, datagram, NotifyType::invalid_syntax, {});
    auto& sa = create(
        {new_sa_id(), false, {header.initiator_spi, new_ike_spi()}, datagram.to, datagram.from, candidate},
        now);
    half_open_.add({header.initiator_spi, datagram.from}, sa.id(), showed_cookie);
    return sa.answer_greeting(datagram.bytes, payloads, *choice, now);
  }
  if (found.empty()) {
    log_stranger(fmt::format("no connection has a peer at {}", to_string(datagram.from)), "", now);
  } else if (may_tell_of_stranger(now)) {
    const auto& connection = *found.front();
    const auto ours = offer(connection.algorithms, {});
    auto why = fmt::format("IKE_SA_INIT is refused: {}it offered {}; connection {} allows {}",
                           describe_mismatch(*payloads.security_association, ours),
                           describe(*payloads.security_association), connection.name, describe(ours));
    act(LogLine{Level::warning, fmt::format("peer {}: {}", to_string(datagram.from), why), connection.name});
    if (const auto record = records_.find(connection.name);
        record != records_.end() && reach(connection.name) != Reach::established)
      note_hearsay(record->second, {std::move(why), IkeSa::State::greeting, now}, datagram.from);
  }
  refuse(header, datagram, NotifyType::no_proposal_chosen, {});
}

}  // namespace espgate::ike
