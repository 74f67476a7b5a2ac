#include "tests/control/ike/hand_made_side.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "control/ike/openssl.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike::test {
namespace {

IkeCore::Parts parts(const bool& wants_keys) {
  IkeCore::Parts made;
  made.random = [random = std::make_shared<std::mt19937>(11)](std::span<std::uint8_t> bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>((*random)());
  };
  made.child_spi = [next = std::make_shared<std::uint32_t>(0x2000)](const std::string&) {
    return std::optional<std::uint32_t>(++*next);
  };
  made.wants_keys = [&wants_keys] { return wants_keys; };
  return made;
}

void append(std::vector<std::uint8_t>& to, Bytes bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Behind what is in `message`, all of which is authenticated: IV, ciphertext and ICV of AES-GCM (RFC 5282).
void append_gcm(std::vector<std::uint8_t>& message, const crypto::Suite& suite, const Secret& key,
                std::uint8_t iv_byte, std::vector<std::uint8_t> text) {
  text.push_back(0);  // no padding
  std::array<std::uint8_t, 8> iv{};
  iv.fill(iv_byte);
  std::array<std::uint8_t, 12> nonce{};
  std::ranges::copy(iv, std::ranges::copy(Bytes(key.bytes()).subspan(suite.key_bytes), nonce.begin()).out);
  std::vector<std::uint8_t> sealed(text.size());
  std::array<std::uint8_t, 16> icv{};
  const CipherContext context{EVP_CIPHER_CTX_new()};
  const auto* cipher = suite.key_bytes == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
  int size = 0;
  require(EVP_EncryptInit_ex2(context.get(), cipher, key.bytes().data(), nonce.data(), nullptr) == 1 &&
          EVP_EncryptUpdate(context.get(), nullptr, &size, message.data(),
                            static_cast<int>(message.size())) == 1 &&
          EVP_EncryptUpdate(context.get(), sealed.data(), &size, text.data(),
                            static_cast<int>(text.size())) == 1 &&
          EVP_EncryptFinal_ex(context.get(), sealed.data() + size, &size) == 1 &&
          EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(icv.size()),
                              icv.data()) == 1);
  append(message, iv);
  append(message, sealed);
  append(message, icv);
}

}  // namespace

void must(bool truth) {
  if (!truth) throw std::logic_error("the core's message is not what it should be");
}

std::array<std::uint8_t, 4> spi_bytes_of(std::uint32_t spi) {
  std::array<std::uint8_t, 4> bytes;
  net::store_be32(bytes, 0, spi);
  return bytes;
}

HandMadeSide::HandMadeSide(bool is_initiator, const Connection& of_core, const Limits& limits)
    : core(parts(wants_keys), limits),
      connection(of_core),
      half(*find_key_exchange(31)),
      here{of_core.remote.value_or(*net::parse_address("192.0.2.1")), 500},
      there{*of_core.local, 500},
      is_initiator_(is_initiator) {
  core.configure({test::handle(of_core)}, now);
}

Actions HandMadeSide::handle(const Event& event) {
  auto actions = core.handle(event, now);
  // By index: work adds more.
  for (std::size_t i = 0; i < actions.size(); ++i)
    if (const auto* work = std::get_if<RunWork>(&actions[i])) {
      work->run();
      auto more = core.handle(WorkFinished{work->ticket}, now);
      std::ranges::move(more, std::back_inserter(actions));
    }
  sent.clear();
  for (const auto& action : actions) {
    if (const auto* datagram = std::get_if<SendDatagram>(&action)) sent.push_back(*datagram);
    if (const auto* line = std::get_if<LogLine>(&action); line != nullptr && line->level != Level::debug)
      lines.push_back(line->text);
    if (const auto* keys = std::get_if<KeysEnded>(&action)) ended.push_back(*keys);
    if (std::holds_alternative<InstallInbound>(action) || std::holds_alternative<InstallOutbound>(action) ||
        std::holds_alternative<RetireInbound>(action) || std::holds_alternative<RetireOutbound>(action))
      installed.push_back(action);
  }
  return actions;
}

const IkeSa* HandMadeSide::only_sa() const {
  const auto all = core.ike_sas();
  return all.size() == 1 ? all.front() : nullptr;
}

std::size_t HandMadeSide::installed_sas() const {
  return static_cast<std::size_t>(std::ranges::count_if(installed, [](const Action& action) {
    return std::holds_alternative<InstallInbound>(action) || std::holds_alternative<InstallOutbound>(action);
  }));
}

HandMadeSide::Answer HandMadeSide::read(const std::vector<std::uint8_t>& datagram) {
  Answer answer;
  answer.bytes = std::make_shared<std::vector<std::uint8_t>>(datagram);
  must(!decode_header(*answer.bytes, answer.header));
  must(!decode_payloads(answer.header.first, Bytes(*answer.bytes).subspan(header_bytes), answer.payloads));
  return answer;
}

Header HandMadeSide::header_of(ExchangeType exchange, std::uint32_t id, bool is_response) const {
  Header header;
  header.initiator_spi = spis.initiator;
  header.responder_spi = spis.responder;
  header.exchange = exchange;
  header.flags =
      static_cast<std::uint8_t>((is_initiator_ ? flag_initiator : 0) | (is_response ? flag_response : 0));
  header.message_id = id;
  return header;
}

void HandMadeSide::take_keys(const IkeChoice& choice, Bytes their_value, Bytes their_nonce) {
  choice_ = choice;
  their_nonce_.assign(their_nonce.begin(), their_nonce.end());
  const Nonces nonces = is_initiator_ ? Nonces{nonce, their_nonce_} : Nonces{their_nonce_, nonce};
  const auto& suite = crypto::suite(choice_.suite);
  const auto seed = first_seed(choice_.prf, nonces, *half.shared_secret(their_value));
  keys_ = derive_keys(choice_.prf, seed, nonces, spis, suite);
  channel_.emplace(spis, is_initiator_, suite, keys_);
}

ChildAlgorithms HandMadeSide::first_child_algorithms() const {
  auto algorithms = connection.children[0].algorithms;
  algorithms.clear_key_exchanges();
  return algorithms;
}

Authentication HandMadeSide::prove(const Identity& identity, std::vector<std::uint8_t>& proof) const {
  const auto& key = is_initiator_ ? keys_.proof_initiator : keys_.proof_responder;
  const auto octets = signed_octets(choice_.prf, first_message_, their_nonce_, key, identity.body(), {});
  const auto proved = shared_key("correct horse battery staple")->prove(choice_.prf, octets, {});
  proof = proved->data;
  return {proved->method, proof};
}

Messages HandMadeSide::seal(ExchangeType exchange, std::uint32_t id, const PayloadWriter& payloads,
                            std::size_t most) {
  return channel_->seal(exchange, false, id, payloads, most);
}

std::vector<std::uint8_t> HandMadeSide::seal_raw(ExchangeType exchange, std::uint32_t id, PayloadType first,
                                                 Bytes payloads, bool is_response) {
  Protection protection(crypto::suite(choice_.suite),
                        is_initiator_ ? keys_.encryption_initiator : keys_.encryption_responder,
                        is_initiator_ ? keys_.integrity_initiator : keys_.integrity_responder);
  return protection.seal(header_of(exchange, id, is_response), first, payloads);
}

std::vector<std::uint8_t> HandMadeSide::seal_behind(PayloadType first, Bytes clear, ExchangeType exchange,
                                                    std::uint32_t id, const PayloadWriter& payloads,
                                                    bool as_fragment) {
  const auto& suite = crypto::suite(choice_.suite);
  const auto type = as_fragment ? PayloadType::encrypted_fragment : PayloadType::encrypted;
  const std::vector<std::uint8_t> one_of_one = {0, 1, 0, 1};
  const auto fields = as_fragment ? Bytes(one_of_one) : Bytes();
  const auto payload = payload_header_bytes + fields.size() + 8 + payloads.bytes().size() + 1 + 16;

  auto header = header_of(exchange, id, false);
  header.first = first;
  auto message = write_header(header, header_bytes + clear.size() + payload);
  message.resize(header_bytes);
  append(message, clear);
  // The last of those in clear names what is behind it.
  std::size_t last = header_bytes;
  for (auto at = last; at < message.size(); at += net::load_be16(message, at + 2)) last = at;
  message[last] = static_cast<std::uint8_t>(type);
  append(message, std::array{static_cast<std::uint8_t>(payloads.first()), std::uint8_t{0},
                             static_cast<std::uint8_t>(payload >> 8), static_cast<std::uint8_t>(payload)});
  append(message, fields);
  append_gcm(message, suite, is_initiator_ ? keys_.encryption_initiator : keys_.encryption_responder,
             static_cast<std::uint8_t>(id + (as_fragment ? 0x80 : 0x40)),
             {payloads.bytes().begin(), payloads.bytes().end()});
  return message;
}

std::optional<HandMadeSide::Answer> HandMadeSide::ask(ExchangeType exchange, const PayloadWriter& payloads) {
  return deliver(seal(exchange, next_id++, payloads).front());
}

std::optional<HandMadeSide::Answer> HandMadeSide::deliver(const std::vector<std::uint8_t>& datagram) {
  handle(DatagramReceived{here, there, datagram});
  for (const auto& each : sent) {
    Answer answer;
    must(!decode_header(each.bytes, answer.header));
    if (!answer.header.is_response()) continue;
    auto opened = channel_->open(answer.header, each.bytes, 65'535);
    must(opened.has_value());
    if (!opened->is_whole) continue;
    answer.bytes = std::make_shared<std::vector<std::uint8_t>>(std::move(opened->bytes));
    must(!decode_payloads(opened->first, *answer.bytes, answer.payloads));
    return answer;
  }
  return {};
}

PayloadWriter HandMadeSide::child_payloads(PayloadWriter first, std::uint32_t number) const {
  const auto spi = spi_bytes_of(number);
  first.add(offer(connection.children[0].algorithms, spi))
      .add_nonce(nonce)
      .add_ts_initiator({connection.children[0].remote})
      .add_ts_responder({connection.children[0].local});
  return first;
}

HandMadeSide::Answer HandMadeSide::open_request(const std::vector<std::uint8_t>& datagram) {
  Answer request;
  must(!decode_header(datagram, request.header));
  auto opened = channel_->open(request.header, datagram, 65'535);
  must(opened.has_value());
  request.bytes = std::make_shared<std::vector<std::uint8_t>>(std::move(opened->bytes));
  must(!decode_payloads(opened->first, *request.bytes, request.payloads));
  return request;
}

Actions HandMadeSide::answer_request(const Header& request, const PayloadWriter& payloads) {
  const auto datagram = channel_->seal(request.exchange, true, request.message_id, payloads, 0).front();
  return handle(DatagramReceived{here, there, datagram});
}

}  // namespace espgate::ike::test
