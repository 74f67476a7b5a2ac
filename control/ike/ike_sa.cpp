#include "control/ike/ike_sa.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "datapath/net/bytes.hpp"

namespace espgate::ike {

double random_unit(SaHost& host) {
  std::array<std::uint8_t, 4> bytes;
  host.fill_random(bytes);
  return net::load_be32(bytes, 0) / 4294967295.0;
}

std::vector<std::uint8_t> random_bytes(SaHost& host, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  host.fill_random(bytes);
  return bytes;
}

Nonce new_nonce(SaHost& host) {
  return random_bytes(host, 32);
}

Time retry_wait(SaHost& host, unsigned nth) {
  const auto& limits = host.limits();
  constexpr unsigned most_doublings = 20;
  const auto plain =
      std::min(limits.retry_first * (1 << std::min(nth, most_doublings)), limits.retry_longest);
  return std::chrono::duration_cast<Time>(plain * (0.9 + 0.2 * random_unit(host)));
}

IkeSa::IkeSa(SaHost& host, Origin origin, Time now)
    : host_(host),
      id_(origin.id),
      is_initiator_(origin.is_initiator),
      state_(origin.is_initiator ? State::greeting : State::answering),
      spis_(origin.spis),
      lineage_{origin.is_initiator, origin.spis.initiator},
      local_(origin.local),
      remote_(origin.remote),
      connection_(std::move(origin.connection)),
      schedule_{.begun_at = now},
      liveness_{Time::min(), now, now} {}

void IkeSa::log(Level level, const std::string& text) const {
  host_.act(LogLine{level,
                    fmt::format("connection {}, peer {}: {}", connection_->name, to_string(remote_), text),
                    connection_->name});
}

// Of what the peer can repeat.
void IkeSa::complain(Complaint about, const std::string& text, Time now, Level level) const {
  if (const auto line = host_.limited(*this, about, text, now)) log(level, *line);
}

std::size_t IkeSa::fragment_bytes() const {
  return peer_.fragments ? connection_->fragment_bytes : 0;
}

void IkeSa::send(const Messages& messages, const Endpoint& from, const Endpoint& to) {
  for (const auto& message : messages) host_.act(SendDatagram{from, to, message});
}

void IkeSa::send_request(ExchangeType exchange, const PayloadWriter& payloads, Time now) {
  const auto id = next_request_id_++;
  request_.start(id, channel_->seal(exchange, false, id, payloads, fragment_bytes()),
                 connection_->retransmission, now, random_unit(host_));
  send(request_.messages(), local_, remote_);
}

void IkeSa::answer(ExchangeType exchange, const PayloadWriter& payloads) {
  peer_requests_.last_answer =
      channel_->seal(exchange, true, peer_requests_.next_id++, payloads, fragment_bytes());
  peer_requests_.is_being_answered = false;
  repeat_answer();
}

void IkeSa::answer(ExchangeType exchange, NotifyType error, Bytes data) {
  answer(exchange, PayloadWriter().add(Notify{error, data}));
}

void IkeSa::repeat_answer() {
  send(peer_requests_.last_answer, answer_from_, answer_to_);
}

void IkeSa::receive(const Header& header, const DatagramReceived& datagram, Time now) {
  if (header.exchange == ExchangeType::ike_sa_init) {
    if (state_ == State::greeting && header.is_response()) on_greeting_answer(header, datagram.bytes, now);
    return;
  }
  if (!channel_ || header.from_initiator() == is_initiator_) return;
  if (is_sealed(header.first) || !take_unprotected(header, datagram, now))
    receive_protected(header, datagram, now);
}

void IkeSa::receive_protected(const Header& header, const DatagramReceived& datagram, Time now) {
  // What cannot be wanted is not worth decrypting. A request is the next, or the last once more.
  const bool is_response = header.is_response();
  const bool again = !is_response && header.message_id + 1 == peer_requests_.next_id;
  const bool is_next = is_response ? request_.is_under_way() && header.message_id == request_.id()
                                   : header.message_id == peer_requests_.next_id;
  if (!again && (!is_next || state_ == State::gone)) return;
  if (!is_response && is_next && peer_requests_.is_being_answered) return;

  const auto& limits = host_.limits();
  const auto most_bytes = state_ == State::keyed ? limits.strangers_message_bytes : limits.message_bytes;
  auto& channel = again && previous_channel_ ? *previous_channel_ : *channel_;
  auto opened = channel.open(header, datagram.bytes, is_next ? most_bytes : 0);
  if (!opened) return;
  if (is_next && !is_response) previous_channel_.reset();
  if (again) {
    // To the first part only, or each part would be answered by all.
    if (opened->is_first) send(peer_requests_.last_answer, datagram.to, datagram.from);
    return;
  }
  peer_is_at(datagram, now);
  if (!opened->is_whole) return;
  liveness_.heard = now;  // what comes again may be anybody's who copied it
  const Inner inner{opened->first,
                    std::make_shared<const std::vector<std::uint8_t>>(std::move(opened->bytes))};
  if (is_response) {
    on_response(inner, now);
  } else {
    answer_from_ = datagram.to;
    answer_to_ = datagram.from;
    on_request(header, inner, now);
  }
}

void IkeSa::on_request(const Header& header, const Inner& inner, Time now) {
  Payloads payloads;
  const auto error = inner.decode(payloads);
  const auto to_become_established =
      choice_ && has_more_key_exchanges() ? ExchangeType::ike_intermediate : ExchangeType::ike_auth;
  const bool is_for_now = state_ == State::keyed ? header.exchange == to_become_established
                                                 : state_ == State::established ||
                                                       state_ == State::replaced || state_ == State::closing;
  // The peer may be through with IKE_AUTH before we are; it will ask again.
  if (!is_for_now) return;
  if (error) {
    complain(Complaint::unreadable_request,
             fmt::format("payload {} of a request is bad: {}", error->payload, error->what), now);
    const std::uint8_t type[] = {error->payload};
    const bool critical = error->notify == NotifyType::unsupported_critical_payload;
    answer(header.exchange, error->notify, critical ? Bytes(type) : Bytes());
    if (state_ == State::keyed) end(End::failed, "the peer's IKE_AUTH cannot be read", now);
    return;
  }
  switch (header.exchange) {
    case ExchangeType::ike_auth:
      if (state_ == State::keyed) return on_proof(inner, now);
      break;
    case ExchangeType::create_child_sa:
      return on_create_request(inner, now);
    case ExchangeType::informational:
      return on_informational(inner, now);
    case ExchangeType::ike_intermediate:
      if (state_ == State::keyed) return on_intermediate(inner, now);
      break;
    case ExchangeType::ike_followup_ke:
      return on_followup(inner, now);
    case ExchangeType::ike_sa_init:
      break;
  }
  answer(header.exchange, NotifyType::invalid_syntax);
}

void IkeSa::on_response(const Inner& inner, Time now) {
  request_.finish();
  if (exchange_.follows) return on_followup_answer(inner, now);
  switch (exchange_.kind) {
    case Exchange::Kind::none:
    case Exchange::Kind::ike_sa_init:
      return;
    case Exchange::Kind::ike_auth:
      return on_proof_answer(inner, now);
    case Exchange::Kind::create_child:
    case Exchange::Kind::rekey_child:
      return on_create_answer(inner, now);
    case Exchange::Kind::rekey_ike:
      return on_rekey_answer(inner, now);
    case Exchange::Kind::delete_children:
      return on_children_deleted(now);
    case Exchange::Kind::delete_ike:
      return end(end_ == End::none ? End::failed : end_, reason_, now);
    case Exchange::Kind::liveness:
      return on_alive(inner);
    case Exchange::Kind::routability:
      return on_routability(inner, now);
    case Exchange::Kind::update:
      return on_address_told(inner, now);
    case Exchange::Kind::intermediate:
      return on_intermediate_answer(inner, now);
  }
}

void IkeSa::work_finished(std::uint64_t number, bool done, Time now) {
  auto waiting = waiting_.extract(number);
  if (!waiting.empty()) waiting.mapped()(now, done);
}

void IkeSa::end(End why, std::string reason, Time now) {
  if (state_ == State::gone) return;
  if (state_ == State::established && peer_rekey_) {
    // Both rekeyed, and the peer did not know: its successor goes on, and our rekey is forgotten.
    auto* heir = host_.find(peer_rekey_->successor);
    if (heir != nullptr && heir->state_ == State::established) hand_over(*heir, now);
  }
  if (end_ == End::none) end_ = why;
  if (!reason.empty()) reason_ = std::move(reason);
  ended_in_ = std::exchange(state_, State::gone);
  // Before there was an answer nobody can ask for it again.
  const auto& limits = host_.limits();
  until_ = peer_requests_.last_answer.empty()
               ? now
               : now + (peer_identity_ ? limits.linger : limits.linger_of_strangers);
  request_.finish();
  waiting_.clear();
  release_spi(exchange_.inbound_spi);
  if (exchange_.kind == Exchange::Kind::create_child && !exchange_.unwanted)
    wanted_.push_back({exchange_.child, now, exchange_.failures});
  exchange_over();
  drop_creation(now);
  while (!children_.empty()) remove_child(children_.back().inbound_spi, reason_, false, now);
  if (!std::exchange(given_, {}).empty()) host_.end_lease(*this);
  if (!assigned_.empty()) host_.act(DropAddresses{connection_->name, std::exchange(assigned_, {})});
  // What was answered last is all that is left to be said, and its channel what opens the question.
  for (auto* secret : {&covered_initiators_, &covered_responders_}) *secret = {};
  for (auto* message : {&our_first_message_, &peers_first_message_, &cookie_}) *message = {};
  for (auto* channel : {&channel_, &previous_channel_})
    if (*channel) (*channel)->forget_parts();
  // Of who proved nothing, and said nothing that could be read, there is nothing to read.
  const bool was_used = ended_in_ != State::keyed || !peer_requests_.last_answer.empty();
  if (was_used && !keys_.d.empty() && host_.wants_keys())
    host_.act(
        KeysEnded{connection_->name, peer_identity_.has_value(), spis_, choice_->suite, std::move(keys_)});
  keys_ = {};
  mixed_.reset();
  nonces_ = {};
  peer_.wishes = {};
}

}  // namespace espgate::ike
