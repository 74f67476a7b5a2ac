// Writes the seed corpus of ike_message_fuzz: a message with every payload, and one with each outer one.
#include "tests/control/ike/sample_messages.hpp"
#include "tests/fuzz/seeds.hpp"

using namespace espgate::ike;

int main(int argc, char** argv) {
  std::vector<std::vector<std::uint8_t>> seeds{write_message(test::header(), test::everything())};
  for (const auto type : {PayloadType::encrypted, PayloadType::encrypted_fragment}) {
    auto header = test::header();
    header.first = type;
    auto message = write_header(header, header_bytes + payload_header_bytes + 36);
    const std::uint8_t payload[] = {39, 0, 0, payload_header_bytes + 36, 0, 1, 0, 2};
    message.insert(message.end(), std::begin(payload), std::end(payload));
    message.resize(header_bytes + payload_header_bytes + 36, 0x77);
    seeds.push_back(message);
  }
  return espgate::testing::write_seeds(argc, argv, seeds);
}
