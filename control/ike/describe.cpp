#include "control/ike/describe.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/ike/key_exchange.hpp"
#include "control/ike/narrowing.hpp"

namespace espgate::ike {
namespace {

// Of what a peer offers so much is told, since it may offer thousands of transforms.
constexpr std::size_t most_offer_text = 1'000;

// With the names that the configuration uses.
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
std::string_view name_of(NotifyType type) {
  switch (type) {
    case NotifyType::unsupported_critical_payload:
      return "UNSUPPORTED_CRITICAL_PAYLOAD";
    case NotifyType::invalid_ike_spi:
      return "INVALID_IKE_SPI";
    case NotifyType::invalid_major_version:
      return "INVALID_MAJOR_VERSION";
    case NotifyType::invalid_syntax:
      return "INVALID_SYNTAX";
    case NotifyType::invalid_message_id:
      return "INVALID_MESSAGE_ID";
    case NotifyType::invalid_spi:
      return "INVALID_SPI";
    case NotifyType::no_proposal_chosen:
      return "NO_PROPOSAL_CHOSEN";
    case NotifyType::invalid_ke_payload:
      return "INVALID_KE_PAYLOAD";
    case NotifyType::authentication_failed:
      return "AUTHENTICATION_FAILED";
    case NotifyType::single_pair_required:
      return "SINGLE_PAIR_REQUIRED";
    case NotifyType::no_additional_sas:
      return "NO_ADDITIONAL_SAS";
    case NotifyType::internal_address_failure:
      return "INTERNAL_ADDRESS_FAILURE";
    case NotifyType::failed_cp_required:
      return "FAILED_CP_REQUIRED";
    case NotifyType::ts_unacceptable:
      return "TS_UNACCEPTABLE";
    case NotifyType::invalid_selectors:
      return "INVALID_SELECTORS";
    case NotifyType::temporary_failure:
      return "TEMPORARY_FAILURE";
    case NotifyType::child_sa_not_found:
      return "CHILD_SA_NOT_FOUND";
    default:
      return {};
  }
}

// ML-KEM has its name whether OpenSSL has it or not: the peer may.
std::string method_text(std::uint16_t id) {
  constexpr std::string_view ml_kem[] = {"ml-kem-512", "ml-kem-768", "ml-kem-1024"};
  constexpr std::uint16_t first_ml_kem = 35;
  if (const auto* method = find_key_exchange(id)) return std::string(method->name);
  if (id >= first_ml_kem && id - first_ml_kem < 3) return std::string(ml_kem[id - first_ml_kem]);
  return fmt::format("key exchange {}", id);
}

constexpr std::string_view additional = "additional key exchange";

// From 1 to 7 (RFC 9370 2.2.2); 0: the type is another.
int additional_number(TransformType type) {
  const auto number = static_cast<int>(type) - static_cast<int>(TransformType::additional_key_exchange_1) + 1;
  return number >= 1 && number <= 7 ? number : 0;
}

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
      return method_text(id);
    case TransformType::sequence_numbers:
      return id == 0 ? "no-esn" : id == 1 ? "esn" : number("sequence numbers");
    case TransformType::additional_key_exchange_1:
      break;
  }
  const auto nth = additional_number(transform.type);
  if (nth == 0) return fmt::format("type {} {}", static_cast<int>(transform.type), id);
  return fmt::format("{} {}: {}", additional, nth, id == 0 ? "none" : method_text(id));
}

}  // namespace

std::string describe(const SecurityAssociation& payload) {
  std::string text;
  for (const auto& proposal : payload.proposals) {
    text += fmt::format("{}{}:", text.empty() ? "" : " | ", proposal.number);
    for (const auto& transform : proposal.transforms) {
      if (text.size() > most_offer_text) return text + " and more";
      text += fmt::format(" {}{}", name_of(transform), transform.unknown_attribute ? "(?)" : "");
    }
  }
  return text;
}

std::string describe(const std::vector<SelectorSide>& sides) {
  std::string text;
  for (const auto& side : sides) {
    if (text.size() > most_offer_text) return text + " and more";
    text += fmt::format("{}{}", text.empty() ? "" : ", ", net::to_string(side.addresses));
    if (side.protocol) text += fmt::format(" {}", net::protocol_name(*side.protocol));
    if (!side.ports.is_everything()) text += fmt::format(" port {}", net::port_text(side.ports));
  }
  return text.empty() ? "nothing" : text;
}

std::string describe(NotifyType type) {
  const auto number = static_cast<int>(type);
  const auto name = name_of(type);
  return name.empty() ? fmt::format("notify {}", number) : fmt::format("{} ({})", name, number);
}

std::string_view describe(ExchangeType type) {
  switch (type) {
    case ExchangeType::ike_sa_init:
      return "IKE_SA_INIT";
    case ExchangeType::ike_auth:
      return "IKE_AUTH";
    case ExchangeType::create_child_sa:
      return "CREATE_CHILD_SA";
    case ExchangeType::informational:
      return "INFORMATIONAL";
    case ExchangeType::ike_intermediate:
      return "IKE_INTERMEDIATE";
    case ExchangeType::ike_followup_ke:
      return "IKE_FOLLOWUP_KE";
  }
  return {};
}

std::string key_exchange_text(std::uint16_t method) {
  return name_of(Transform{.type = TransformType::key_exchange, .id = method});
}

std::string describe(const IkeChoice& choice) {
  auto text = fmt::format(
      "{}, {}, {}", crypto::suite(choice.suite).name,
      name_of(Transform{.type = TransformType::prf, .id = static_cast<std::uint16_t>(choice.prf)}),
      key_exchange_text(choice.key_exchange));
  for (const auto method : choice.additional) text += fmt::format(", then {}", key_exchange_text(method));
  return text;
}

std::string_view describe(const NatSituation& nat) {
  if (!nat.peer_knows) return "the peer does not look for NATs";
  if (!nat.any()) return "no NAT on the way";
  return nat.we_are_behind && nat.peer_is_behind ? "both sides are behind a NAT"
         : nat.we_are_behind                     ? "we are behind a NAT"
                                                 : "the peer is behind a NAT";
}

namespace {

std::string_view mode_text(bool transport) {
  return transport ? "transport mode" : "tunnel mode";
}

std::string_view name_of(TransformType type) {
  switch (type) {
    case TransformType::encryption:
      return "encryption";
    case TransformType::prf:
      return "PRF";
    case TransformType::integrity:
      return "integrity";
    case TransformType::key_exchange:
      return "key exchange";
    case TransformType::sequence_numbers:
      return "length of sequence numbers";
    case TransformType::additional_key_exchange_1:
      break;
  }
  return additional;
}

// Of one type; none is what a proposal without the type means.
std::vector<Transform> of_type(const Proposal& proposal, TransformType type) {
  std::vector<Transform> found;
  for (const auto& each : proposal.transforms)
    if (each.type == type) found.push_back(each);
  if (found.empty()) found.push_back(Transform{.type = type});
  return found;
}

// Types of which two proposals have nothing in common.
std::vector<TransformType> types_apart(const Proposal& theirs, const Proposal& ours) {
  std::vector<TransformType> types;
  for (const auto* proposal : {&theirs, &ours})
    for (const auto& each : proposal->transforms)
      if (std::ranges::find(types, each.type) == types.end()) types.push_back(each.type);
  std::erase_if(types, [&](TransformType type) {
    const auto known = of_type(ours, type);
    return std::ranges::any_of(of_type(theirs, type), [&](const Transform& each) {
      return std::ranges::any_of(known, [&](const Transform& other) {
        return !each.unknown_attribute && each.id == other.id && each.key_bits == other.key_bits;
      });
    });
  });
  return types;
}

using Names = std::vector<std::string_view>;

Names fewest(const std::vector<Names>& all) {
  const auto found = std::ranges::min_element(all, {}, [](const Names& names) { return names.size(); });
  return found == all.end() ? Names() : *found;
}

Names names_of(const std::vector<TransformType>& types) {
  Names names;
  for (const auto type : types) names.push_back(name_of(type));
  return names;
}

// Of the two proposals that are the closest. An offer of more transforms than anybody has use for is not
// looked through.
Names apart(const SecurityAssociation& offered, const SecurityAssociation& ours) {
  constexpr std::size_t most_compared = 128;
  std::size_t transforms = 0;
  for (const auto& proposal : offered.proposals) transforms += proposal.transforms.size();
  if (transforms > most_compared) return {};
  std::vector<Names> all;
  for (const auto& theirs : offered.proposals)
    for (const auto& mine : ours.proposals) all.push_back(names_of(types_apart(theirs, mine)));
  return fewest(all);
}

Names apart(const Payloads& request, const ChildConfiguration& ours, const SecurityAssociation& allowed) {
  Names names;
  const auto compare = [&](const std::optional<TrafficSelectors>& offered,
                           const std::vector<SelectorSide>& sides, std::string_view name) {
    if (offered && narrow(*offered, sides).sides.empty()) names.push_back(name);
  };
  if (ours.transport != (request.notify(NotifyType::use_transport_mode) != nullptr)) names.push_back("mode");
  compare(request.ts_initiator, ours.remote, "network of the peer's");
  compare(request.ts_responder, ours.local, "network of ours");
  if (request.security_association)
    for (const auto name : apart(*request.security_association, allowed)) names.push_back(name);
  return names;
}

std::string mismatch_text(const Names& names) {
  std::string text;
  for (const auto name : names)
    text += fmt::format("{}{}", text.empty() ? "in common is no " : ", no ", name);
  return text.empty() ? text : text + "; ";
}

ChildAlgorithms algorithms_of(const ChildConfiguration& ours, bool with_key_exchange) {
  auto algorithms = ours.algorithms;
  if (!with_key_exchange) algorithms.clear_key_exchanges();
  return algorithms;
}

}  // namespace

std::string describe_mismatch(const SecurityAssociation& offered, const SecurityAssociation& ours) {
  return mismatch_text(apart(offered, ours));
}

std::string describe_request(const Payloads& request) {
  const auto sides = [](const std::optional<TrafficSelectors>& selectors) {
    return describe(selectors ? selectors->sides : std::vector<SelectorSide>());
  };
  return fmt::format("{} in {} between {} and {}",
                     request.security_association ? describe(*request.security_association) : "no proposal",
                     mode_text(request.notify(NotifyType::use_transport_mode) != nullptr),
                     sides(request.ts_initiator), sides(request.ts_responder));
}

std::string describe_request(const ChildConfiguration& ours, bool with_key_exchange) {
  return fmt::format("{} in {} between {} and {}",
                     describe(offer(algorithms_of(ours, with_key_exchange), {})), mode_text(ours.transport),
                     describe(ours.local), describe(ours.remote));
}

std::string describe_allowed(const Connection& ours, bool with_key_exchange) {
  std::string text;
  for (const auto& child : ours.children) {
    if (text.size() > most_offer_text) return text + " and more";
    text += fmt::format("{}{} in {} between {} and {}", text.empty() ? "" : ", or ",
                        describe(offer(algorithms_of(child, with_key_exchange), {})),
                        mode_text(child.transport), describe(child.remote), describe(child.local));
  }
  return text.empty() ? "no child" : text;
}

std::string describe_refusal(NotifyType error, const Payloads& request, const Connection& ours,
                             bool with_key_exchange) {
  std::vector<Names> all;
  for (const auto& child : ours.children)
    all.push_back(apart(request, child, offer(algorithms_of(child, with_key_exchange), {})));
  return fmt::format("a child of the peer's is refused with {}: {}it offered {}; we allow {}",
                     describe(error), mismatch_text(fewest(all)), describe_request(request),
                     describe_allowed(ours, with_key_exchange));
}

std::string why_disbelieved(const Connection& ours) {
  return fmt::format(
      "the peer does not accept that we are {}{} (AUTHENTICATION_FAILED): compare the keys, or certificates, "
      "and the identities of both sides",
      to_string(ours.identity),
      ours.asked_peer ? fmt::format(", or is not {}", to_string(*ours.asked_peer)) : "");
}

}  // namespace espgate::ike
