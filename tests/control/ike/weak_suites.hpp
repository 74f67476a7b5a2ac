// Transforms that leave a cipher without a key, or with one of no certain length: nobody of ours takes them.
#pragma once

#include <algorithm>
#include <vector>

#include "control/ike/message.hpp"

namespace espgate::ike::test {

struct WeakSuite {
  const char* what;
  std::vector<Transform> transforms;
};

constexpr std::uint16_t zero_bits = 0x0101;  // in what is written; zero_key_lengths makes it 0

inline std::vector<WeakSuite> weak_suites() {
  constexpr auto encryption = TransformType::encryption;
  const Transform sha256{TransformType::integrity, 12};
  return {{"ENCR_NULL with an ICV", {{encryption, 11}, sha256}},
          {"ENCR_NULL alone", {{encryption, 11}}},
          {"AES-CBC without a key length", {{encryption, 12}, sha256}},
          {"AES-GCM without a key length", {{encryption, 20}}},
          {"AES-CBC with a key of 0 bits", {{encryption, 12, zero_bits}, sha256}},
          {"AES-GCM with a key of 0 bits", {{encryption, 20, zero_bits}}}};
}

inline SecurityAssociation ike_proposal(std::vector<Transform> transforms) {
  transforms.push_back({TransformType::prf, 5});
  transforms.push_back({TransformType::key_exchange, 31});
  return {{{1, ProtocolId::ike, {}, std::move(transforms)}}};
}

// `spi` must outlive it.
inline SecurityAssociation esp_proposal(std::vector<Transform> transforms, Bytes spi) {
  transforms.push_back({TransformType::sequence_numbers, 1});
  return {{{1, ProtocolId::esp, spi, std::move(transforms)}}};
}

inline std::vector<std::uint8_t> zero_key_lengths(Bytes message) {
  std::vector<std::uint8_t> out(message.begin(), message.end());
  constexpr std::uint8_t attribute[] = {0x80, 14, zero_bits >> 8, zero_bits & 0xff};
  for (auto at = out.begin();
       (at = std::search(at, out.end(), std::begin(attribute), std::end(attribute))) != out.end();)
    std::fill(at + 2, at + 4, std::uint8_t{0});
  return out;
}

}  // namespace espgate::ike::test
