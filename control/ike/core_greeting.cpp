// IKE_SA_INIT requests of strangers: what is decided before anything is remembered of them (RFC 7296 2.6).
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/core.hpp"
#include "control/ike/describe.hpp"

namespace espgate::ike {
namespace {

// A source that one attacker can have many addresses of: an IPv4 address, or an IPv6 /64.
net::Address source_of(const Endpoint& peer) {
  auto address = peer.address;
  if (address.family == net::Family::v6) std::fill(address.bytes.begin() + 8, address.bytes.end(), 0);
  return address;
}

}  // namespace

void IkeCore::log_stranger(const std::string& text, const std::string& connection, Time now) {
  constexpr Time minute = std::chrono::minutes(1);
  if (stranger_minute_ == Time::min() || now >= stranger_minute_ + minute) {
    stranger_minute_ = now;
    stranger_lines_ = 0;
  }
  if (stranger_lines_++ < limits_.stranger_lines_per_minute) act(LogLine{Level::warning, text, connection});
}

void IkeCore::refuse(const Header& header, const DatagramReceived& datagram, NotifyType error, Bytes data) {
  Header reply;
  reply.initiator_spi = header.initiator_spi;
  reply.responder_spi = header.responder_spi;
  reply.exchange = header.exchange;
  reply.flags = static_cast<std::uint8_t>(flag_response | (header.from_initiator() ? 0 : flag_initiator));
  reply.message_id = header.message_id;
  act(SendDatagram{datagram.to, datagram.from,
                   write_message(reply, PayloadWriter().add(Notify{error, data}))});
}

void IkeCore::on_greeting(const Header& header, const DatagramReceived& datagram, Time now) {
  if (!header.from_initiator() || header.message_id != 0 || header.responder_spi != 0 || is_stopping_) return;
  if (const auto known = half_open_.find({header.initiator_spi, datagram.from}); known != half_open_.end())
    return find(known->second)->greeting_repeated(datagram.bytes);
  Payloads payloads;
  const auto error = decode_payloads(header.first, Bytes(datagram.bytes).subspan(header_bytes), payloads);
  if (error) {
    const std::uint8_t type[] = {error->payload};
    const bool critical = error->notify == NotifyType::unsupported_critical_payload;
    return refuse(header, datagram, error->notify, critical ? Bytes(type) : Bytes());
  }
  if (!payloads.security_association || !payloads.key_exchange || !payloads.nonce)
    return refuse(header, datagram, NotifyType::invalid_syntax, {});
  if (may_begin(header, datagram, payloads, now)) accept_greeting(header, datagram, payloads, now);
}

// Costs a hash at most, and no memory.
bool IkeCore::may_begin(const Header& header, const DatagramReceived& datagram, const Payloads& payloads,
                        Time now) {
  if (sas_.size() >= limits_.ike_sas) return false;
  if (half_open_.size() >= limits_.half_open_cookies) {
    const auto* cookie = payloads.notify(NotifyType::cookie);
    const auto nonce = *payloads.nonce;
    if (cookie == nullptr ||
        !cookies_.verify(cookie->data, header.initiator_spi, nonce, datagram.from, now)) {
      refuse(header, datagram, NotifyType::cookie,
             cookies_.make(header.initiator_spi, nonce, datagram.from, now));
      return false;
    }
  }
  const auto source = half_open_sources_.find(source_of(datagram.from));
  return half_open_.size() < limits_.half_open &&
         (source == half_open_sources_.end() || source->second < limits_.half_open_per_source);
}

void IkeCore::accept_greeting(const Header& header, const DatagramReceived& datagram,
                              const Payloads& payloads, Time now) {
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
    half_open_.emplace(HalfOpenKey{header.initiator_spi, datagram.from}, sa.id());
    half_open_by_id_.emplace(sa.id(), HalfOpenKey{header.initiator_spi, datagram.from});
    ++half_open_sources_[source_of(datagram.from)];
    return sa.answer_greeting(datagram.bytes, payloads, *choice, now);
  }
  if (found.empty()) {
    log_stranger(fmt::format("no connection has a peer at {}", to_string(datagram.from)), "", now);
  } else {
    const auto& connection = *found.front();
    const auto ours = offer(connection.algorithms, {});
    auto why = fmt::format("IKE_SA_INIT is refused: it offered {}; connection {} allows {}{}",
                           describe(*payloads.security_association), connection.name, describe(ours),
                           describe_mismatch(*payloads.security_association, ours));
    log_stranger(fmt::format("peer {}: {}", to_string(datagram.from), why), connection.name, now);
    // Anybody can say so, but nothing else is known while it is down.
    if (const auto record = records_.find(connection.name);
        record != records_.end() && living(connection.name).empty())
      record->second.last_failure = {std::move(why), IkeSa::State::greeting, now};
  }
  refuse(header, datagram, NotifyType::no_proposal_chosen, {});
}

void IkeCore::close_half_open(const IkeSa& sa) {
  const auto found = half_open_by_id_.find(sa.id());
  if (found == half_open_by_id_.end()) return;
  const auto source = half_open_sources_.find(source_of(found->second.peer));
  if (--source->second == 0) half_open_sources_.erase(source);
  half_open_.erase(found->second);
  half_open_by_id_.erase(found);
}

}  // namespace espgate::ike
