// libFuzzer target for what lies behind an IKE message's ICV: the keys are known, so the input's payloads are
// sealed as SK, or cut into SKFs, opened and decoded. The first two bytes choose the suite and the size of
// the parts. Then the message is opened with a byte of it changed, which must fail.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "control/ike/protection.hpp"
#include "tests/fuzz/ike_payloads.hpp"

using namespace espgate;
using namespace espgate::ike;
using espgate::testing::demand;

namespace {

constexpr std::size_t argument_bytes = 3;
constexpr std::size_t most_text_bytes = 4'000;

Protection make(crypto::SuiteId id) {
  const auto& suite = crypto::suite(id);
  return {suite, Secret(std::vector<std::uint8_t>(suite.key_bytes + std::size_t{suite.salt_bytes}, 0x5a)),
          Secret(std::vector<std::uint8_t>(suite.integrity_key_bytes, 0xa5))};
}

// The content of one message; nothing when it is not authentic.
std::optional<std::vector<std::uint8_t>> open(Protection& protection, Bytes datagram, Header& header,
                                              Payloads& outer) {
  demand(!decode_header(datagram, header));
  if (decode_payloads(header.first, datagram.subspan(header_bytes), outer)) return {};
  if (outer.encrypted) return protection.open(datagram, outer.encrypted->content);
  if (outer.encrypted_fragment) return protection.open(datagram, outer.encrypted_fragment->content);
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < argument_bytes || size > argument_bytes + most_text_bytes) return -1;
  const std::span<const std::uint8_t> input(data, size);
  const auto text = input.subspan(argument_bytes);
  constexpr crypto::SuiteId suites[] = {crypto::SuiteId::aes_gcm_16_256, crypto::SuiteId::aes_cbc_256_sha256,
                                        crypto::SuiteId::chacha20_poly1305};
  auto protection = make(suites[input[0] % std::size(suites)]);
  const std::size_t most_bytes = 200 + std::size_t{input[1]} * 8;
  const auto first = PayloadType{input[2]};

  const Header sent{1, 2, PayloadType::none, ExchangeType::ike_auth, flag_initiator, 1};
  auto messages = protection.seal_in_parts(sent, first, text, most_bytes);
  std::vector<std::uint8_t> inside;
  for (const auto& message : messages) {
    demand(message.size() <= most_bytes);
    Header header;
    Payloads outer;
    const auto part = open(protection, message, header, outer);
    // A first part without a payload in it cannot be told from a later one.
    if (!part && first == PayloadType::none && messages.size() > 1) return 0;
    demand(part.has_value());
    inside.insert(inside.end(), part->begin(), part->end());
  }
  demand(std::ranges::equal(inside, text));
  Payloads payloads;
  if (!decode_payloads(first, inside, payloads)) {
    testing::check_within(payloads, inside);
    testing::check_written_again(payloads);
  }

  auto& message = messages.front();
  const std::size_t at = header_bytes + payload_header_bytes +
                         std::size_t{input[1]} % (message.size() - header_bytes - payload_header_bytes);
  message[at] ^= 1;
  Header header;
  Payloads outer;
  demand(!open(protection, message, header, outer));
  return 0;
}
