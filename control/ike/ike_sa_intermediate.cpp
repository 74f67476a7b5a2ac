// IKE_INTERMEDIATE (RFC 9242) with one additional key exchange each (RFC 9370), between IKE_SA_INIT and
// IKE_AUTH. Each gives new keys, by which the next message is protected; AUTH covers all of them.
#include <fmt/format.h>

#include "control/ike/ike_sa.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

bool IkeSa::has_more_key_exchanges() const {
  return mixed_in_ < choice_->additional.size();
}

// IntAuth_A: the message as it would be without encryption, up to its payloads.
std::vector<std::uint8_t> IkeSa::head_of_intermediate(bool initiators, PayloadType first,
                                                      std::size_t inner_bytes) const {
  const auto payload = payload_header_bytes + inner_bytes;
  Header header;
  header.initiator_spi = spis_.initiator;
  header.responder_spi = spis_.responder;
  header.first = PayloadType::encrypted;
  header.exchange = ExchangeType::ike_intermediate;
  header.flags = initiators ? flag_initiator : flag_response;
  header.message_id = static_cast<std::uint32_t>(mixed_in_ + 1);
  auto head = write_header(header, header_bytes + payload);
  head.resize(header_bytes + payload_header_bytes);
  head[header_bytes] = static_cast<std::uint8_t>(first);
  net::store_be16(head, header_bytes + 2, static_cast<std::uint16_t>(payload));
  return head;
}

// By the keys that the message is protected by.
void IkeSa::cover_intermediate(bool initiators, PayloadType first, Bytes inner) {
  auto& covered = initiators ? covered_initiators_ : covered_responders_;
  const auto& key = initiators ? keys_.proof_initiator : keys_.proof_responder;
  const auto head = head_of_intermediate(initiators, first, inner.size());
  covered = compute(choice_->prf, key.bytes(), {covered.bytes(), head, inner});
}

std::vector<std::uint8_t> IkeSa::intermediate_proof() const {
  if (mixed_in_ == 0) return {};
  std::vector<std::uint8_t> all = covered_initiators_.bytes();
  const auto& responders = covered_responders_.bytes();
  all.insert(all.end(), responders.begin(), responders.end());
  const auto at = all.size();
  all.resize(at + 4);
  net::store_be32(all, at, static_cast<std::uint32_t>(mixed_in_ + 1));  // the message id of IKE_AUTH
  return all;
}

void IkeSa::mix_in(const Secret& shared) {
  const auto& suite = crypto::suite(choice_->suite);
  const auto seed = next_seed(choice_->prf, keys_.d, {&shared, 1}, nonces_.view());
  keys_ = derive_keys(choice_->prf, seed, nonces_.view(), spis_, suite);
  previous_channel_ = std::move(channel_);
  channel_.emplace(spis_, is_initiator_, suite, keys_);
  ++mixed_in_;
}

void IkeSa::go_on_with_proof(Time now) {
  if (!has_more_key_exchanges()) return make_proof(now);
  exchange_.kind = Exchange::Kind::intermediate;
  exchange_.method = choice_->additional[mixed_in_];
  work<std::shared_ptr<KeyExchangeHalf>>(
      [method = find_key_exchange(exchange_.method)] { return std::make_shared<KeyExchangeHalf>(*method); },
      [this](Time then, std::optional<std::shared_ptr<KeyExchangeHalf>> half) {
        if (!half) return end(End::no_room, too_much_work, then);
        exchange_.half = std::move(*half);
        PayloadWriter payloads;
        payloads.add(KeyExchange{exchange_.method, exchange_.half->value()});
        cover_intermediate(true, payloads.first(), payloads.bytes());
        send_request(ExchangeType::ike_intermediate, payloads, then);
      });
}

void IkeSa::on_intermediate_answer(const Inner& inner, Time now) {
  Payloads payloads;
  const auto error = inner.decode(payloads);
  if (error || !payloads.key_exchange || payloads.key_exchange->method != exchange_.method)
    return end(End::failed, "the peer refused an additional key exchange", now);
  work<std::optional<Secret>>(
      [half = exchange_.half,
       value = Nonce(payloads.key_exchange->data.begin(), payloads.key_exchange->data.end())] {
        return half->shared_secret(value);
      },
      [this, inner](Time then, std::optional<std::optional<Secret>> shared) {
        if (!shared) return end(End::no_room, too_much_work, then);
        if (!*shared) return end(End::failed, "the peer's key exchange value is no key", then);
        cover_intermediate(false, inner.first, *inner.bytes);
        mix_in(**shared);
        exchange_over();
        go_on_with_proof(then);
      });
}

void IkeSa::on_intermediate(const Inner& inner, Time now) {
  Payloads payloads;
  inner.decode(payloads);  // it was found good
  const auto method = choice_->additional[mixed_in_];
  if (!payloads.key_exchange || payloads.key_exchange->method != method) {
    answer(ExchangeType::ike_intermediate, NotifyType::invalid_syntax);
    return end(End::failed, "the peer's additional key exchange is not the one agreed on", now);
  }
  answer_additional(*payloads.key_exchange,
                    [this, inner, method](Time then, std::optional<KeyExchangeAnswer> agreed) {
                      if (!agreed) {
                        answer(ExchangeType::ike_intermediate, NotifyType::invalid_syntax);
                        return end(End::failed, "the peer's key exchange value is no key", then);
                      }
                      PayloadWriter reply;
                      reply.add(KeyExchange{method, agreed->value});
                      cover_intermediate(true, inner.first, *inner.bytes);
                      cover_intermediate(false, reply.first(), reply.bytes());
                      answer(ExchangeType::ike_intermediate, reply);
                      mix_in(agreed->shared);
                    });
}

// As responder, also of IKE_FOLLOWUP_KE. When the work is refused nothing was changed: the peer asks again.
void IkeSa::answer_additional(const KeyExchange& theirs,
                              std::function<void(Time, std::optional<KeyExchangeAnswer>)> then) {
  peer_requests_.is_being_answered = true;
  work<std::optional<KeyExchangeAnswer>>(
      [method = find_key_exchange(theirs.method), value = Nonce(theirs.data.begin(), theirs.data.end())] {
        return answer_key_exchange(*method, value);
      },
      [this, then = std::move(then)](Time now, std::optional<std::optional<KeyExchangeAnswer>> agreed) {
        if (agreed) return then(now, std::move(*agreed));
        peer_requests_.is_being_answered = false;
      });
}

}  // namespace espgate::ike
