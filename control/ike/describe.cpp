// Proposals in words, with the names that the configuration uses.
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/key_exchange.hpp"
#include "control/ike/proposals.hpp"

namespace espgate::ike {
namespace {

std::string encryption_name(const Transform& transform) {
  const auto bits = transform.key_bits == 0 ? std::string() : fmt::format("{}", transform.key_bits);
  switch (crypto::Cipher{static_cast<std::uint8_t>(transform.id)}) {
    case crypto::Cipher::null:
      return "null";
    case crypto::Cipher::aes_cbc:
      return fmt::format("aes{}-cbc", bits);
    case crypto::Cipher::aes_ctr:
      return fmt::format("aes{}-ctr", bits);
    case crypto::Cipher::aes_ccm_16:
      return fmt::format("aes{}-ccm16", bits);
    case crypto::Cipher::aes_gcm_16:
      return fmt::format("aes{}-gcm16", bits);
    case crypto::Cipher::aes_gmac:
      return fmt::format("aes{}-gmac", bits);
    case crypto::Cipher::chacha20_poly1305:
      return "chacha20-poly1305";
  }
  return fmt::format("encryption {}{}{}", transform.id, bits.empty() ? "" : "/", bits);
}

// As IANA numbers them; what is not here is a number.
std::string name_of(const Transform& transform) {
  const auto number = [&](std::string_view kind) { return fmt::format("{} {}", kind, transform.id); };
  const auto id = transform.id;
  switch (transform.type) {
    case TransformType::encryption:
      return id <= 0xff ? encryption_name(transform) : number("encryption");
    case TransformType::prf:
      if (id == 2) return "prf-sha1";
      return id >= 5 && id <= 7 ? fmt::format("prf-sha{}", id == 5   ? 256
                                                           : id == 6 ? 384
                                                                     : 512)
                                : number("prf");
    case TransformType::integrity:
      if (id == 0) return "no-integrity";
      if (id == 2) return "sha1";
      return id >= 12 && id <= 14 ? fmt::format("sha{}", id == 12   ? 256
                                                         : id == 13 ? 384
                                                                    : 512)
                                  : number("integrity");
    case TransformType::key_exchange:
      if (id == 0) return "no-key-exchange";
      if (const auto* method = find_key_exchange(id)) return std::string(method->name);
      return number("key exchange");
    case TransformType::sequence_numbers:
      return id == 0 ? "no-esn" : id == 1 ? "esn" : number("sequence numbers");
    case TransformType::additional_key_exchange_1:
      break;
  }
  return fmt::format("type {} {}", static_cast<int>(transform.type), id);
}

}  // namespace

std::string describe(const SecurityAssociation& payload) {
  std::string text;
  for (const auto& proposal : payload.proposals) {
    text += fmt::format("{}{}:", text.empty() ? "" : " | ", proposal.number);
    for (const auto& transform : proposal.transforms)
      text += fmt::format(" {}{}", name_of(transform), transform.unknown_attribute ? "(?)" : "");
  }
  return text;
}

}  // namespace espgate::ike
