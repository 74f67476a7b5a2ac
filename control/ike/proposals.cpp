#include "control/ike/proposals.hpp"

#include <algorithm>

#include "datapath/net/bytes.hpp"

namespace espgate::ike {
namespace {

using crypto::Integrity;
using crypto::Suite;
using crypto::SuiteId;

constexpr std::uint16_t none = 0;

bool is_aead(const Suite& suite) {
  return suite.integrity == Integrity::by_cipher;
}
std::uint16_t id_of(Integrity integrity) {
  return static_cast<std::uint16_t>(integrity);
}
Transform encryption(const Suite& suite) {
  return {TransformType::encryption, static_cast<std::uint16_t>(suite.cipher),
          static_cast<std::uint16_t>(suite.key_length_bits())};
}
Transform transform(TransformType type, std::uint16_t id) {
  return {type, id};
}
bool has(const Proposal& proposal, const Transform& wanted) {
  return std::ranges::find(proposal.transforms, wanted) != proposal.transforms.end();
}
bool has(const Proposal& proposal, TransformType type) {
  return std::ranges::find(proposal.transforms, type, &Transform::type) != proposal.transforms.end();
}
// "None" is offered by leaving the type out, too.
bool allows_none(const Proposal& proposal, TransformType type) {
  return !has(proposal, type) || has(proposal, transform(type, none));
}

constexpr std::size_t most_additional = 7;

TransformType additional_type(std::size_t nth) {
  return static_cast<TransformType>(static_cast<std::size_t>(TransformType::additional_key_exchange_1) + nth);
}

// Of types that we do not know, and of additional key exchanges that we do not do, we can only choose none.
bool has_only_known_types(const Proposal& proposal, std::size_t additional = 0) {
  return std::ranges::all_of(proposal.transforms, [&](const Transform& each) {
    return each.type < additional_type(additional) ||
           (each.type < additional_type(most_additional) && allows_none(proposal, each.type));
  });
}

// One method for each of our lists, none twice, nor the one that IKE_SA_INIT has (RFC 9370 2.2.2).
std::optional<std::vector<std::uint16_t>> choose_additional(
    const Proposal& proposal, const std::vector<std::vector<std::uint16_t>>& ours, std::uint16_t first) {
  std::vector<std::uint16_t> chosen;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const auto found = std::ranges::find_if(ours[i], [&](std::uint16_t id) {
      return id != first && std::ranges::find(chosen, id) == chosen.end() &&
             has(proposal, transform(additional_type(i), id));
    });
    if (found == ours[i].end()) return {};
    chosen.push_back(*found);
  }
  return chosen;
}

bool offers(const Proposal& proposal, const Suite& suite) {
  if (!has(proposal, encryption(suite))) return false;
  return is_aead(suite) ? allows_none(proposal, TransformType::integrity)
                        : has(proposal, transform(TransformType::integrity, id_of(suite.integrity)));
}

std::optional<SuiteId> choose_suite(const Proposal& proposal, const std::vector<SuiteId>& ours) {
  const auto found =
      std::ranges::find_if(ours, [&](SuiteId id) { return offers(proposal, crypto::suite(id)); });
  if (found == ours.end()) return {};
  return *found;
}

std::optional<std::uint16_t> choose_key_exchange(const Proposal& proposal,
                                                 const std::vector<std::uint16_t>& ours,
                                                 std::uint16_t preferred) {
  const auto offered = [&](std::uint16_t id) {
    return has(proposal, transform(TransformType::key_exchange, id));
  };
  if (ours.empty()) {
    if (!allows_none(proposal, TransformType::key_exchange)) return {};
    return none;
  }
  if (preferred != none && offered(preferred) && std::ranges::find(ours, preferred) != ours.end())
    return preferred;
  const auto found = std::ranges::find_if(ours, offered);
  if (found == ours.end()) return {};
  return *found;
}

std::optional<IkeChoice> choose_of(const Proposal& proposal, const IkeAlgorithms& ours,
                                   std::uint16_t preferred) {
  if (proposal.protocol != ProtocolId::ike || !has_only_known_types(proposal, ours.additional.size()))
    return {};
  if (!proposal.spi.empty() && proposal.spi.size() != 8) return {};
  const auto suite = choose_suite(proposal, ours.suites);
  const auto prf = std::ranges::find_if(ours.prfs, [&](Prf id) {
    return has(proposal, transform(TransformType::prf, static_cast<std::uint16_t>(id)));
  });
  const auto method = choose_key_exchange(proposal, ours.key_exchanges, preferred);
  if (!suite || prf == ours.prfs.end() || !method) return {};
  auto additional = choose_additional(proposal, ours.additional, *method);
  if (!additional) return {};
  return IkeChoice{proposal.number,
                   *suite,
                   *prf,
                   *method,
                   proposal.spi.empty() ? 0 : net::load_be64(proposal.spi, 0),
                   *std::move(additional)};
}

std::optional<ChildChoice> choose_of(const Proposal& proposal, const ChildAlgorithms& ours,
                                     std::uint16_t preferred) {
  if (proposal.protocol != ProtocolId::esp || !has_only_known_types(proposal, ours.additional.size()))
    return {};
  if (proposal.spi.size() != 4 || net::load_be32(proposal.spi, 0) < 256) return {};
  const auto suite = choose_suite(proposal, ours.suites);
  const auto method = choose_key_exchange(proposal, ours.key_exchanges, preferred);
  // A proposal without the transform means short numbers (RFC 7296 3.3.2).
  const bool extended =
      ours.extended_sequence && has(proposal, transform(TransformType::sequence_numbers, 1));
  const bool shorter = ours.short_sequence && allows_none(proposal, TransformType::sequence_numbers);
  if (!suite || !method || (!extended && !shorter)) return {};
  auto additional = choose_additional(proposal, ours.additional, *method);
  if (!additional) return {};
  return ChildChoice{proposal.number,       *suite, *method, extended, net::load_be32(proposal.spi, 0),
                     *std::move(additional)};
}

template <typename Choice, typename Algorithms>
std::optional<Choice> choose_first(const SecurityAssociation& offered, const Algorithms& ours,
                                   std::uint16_t preferred) {
  for (const auto& proposal : offered.proposals)
    if (auto choice = choose_of(proposal, ours, preferred)) return choice;
  return {};
}

// One proposal of ours, of which one transform of each type was left.
template <typename Choice, typename Algorithms>
std::optional<Choice> accept(const SecurityAssociation& answer, const Algorithms& ours) {
  if (answer.proposals.size() != 1) return {};
  const auto& chosen = answer.proposals.front();
  const auto offered = offer(ours, {});
  const auto mine = std::ranges::find(offered.proposals, chosen.number, &Proposal::number);
  if (mine == offered.proposals.end()) return {};
  for (const auto& each : chosen.transforms)
    if (std::ranges::count(chosen.transforms, each.type, &Transform::type) != 1 || !has(*mine, each))
      return {};
  for (const auto& each : mine->transforms)
    if (!has(chosen, each.type)) return {};
  return choose_of(chosen, ours, none);
}

// All AEADs together, and those with one integrity algorithm each.
SecurityAssociation by_integrity(const std::vector<SuiteId>& ours, ProtocolId protocol, Bytes spi) {
  SecurityAssociation payload;
  std::vector<Integrity> kinds;
  for (const auto id : ours)
    if (const auto kind = crypto::suite(id).integrity; std::ranges::find(kinds, kind) == kinds.end())
      kinds.push_back(kind);
  for (const auto kind : kinds) {
    auto& proposal = payload.proposals.emplace_back();
    proposal.number = static_cast<std::uint8_t>(payload.proposals.size());
    proposal.protocol = protocol;
    proposal.spi = spi;
    for (const auto id : ours)
      if (crypto::suite(id).integrity == kind) proposal.transforms.push_back(encryption(crypto::suite(id)));
    if (kind != Integrity::by_cipher)
      proposal.transforms.push_back(transform(TransformType::integrity, id_of(kind)));
  }
  return payload;
}

Proposal chosen_suite(std::uint8_t number, ProtocolId protocol, SuiteId id, Bytes spi) {
  const auto& suite = crypto::suite(id);
  Proposal proposal{number, protocol, spi, {encryption(suite)}};
  if (!is_aead(suite))
    proposal.transforms.push_back(transform(TransformType::integrity, id_of(suite.integrity)));
  return proposal;
}

void add_additional(const std::vector<std::vector<std::uint16_t>>& ours, Proposal& proposal) {
  for (std::size_t i = 0; i < ours.size(); ++i)
    for (const auto method : ours[i]) proposal.transforms.push_back(transform(additional_type(i), method));
}

void add_chosen(const std::vector<std::uint16_t>& chosen, Proposal& proposal) {
  for (std::size_t i = 0; i < chosen.size(); ++i)
    proposal.transforms.push_back(transform(additional_type(i), chosen[i]));
}

}  // namespace

SecurityAssociation offer(const IkeAlgorithms& ours, Bytes spi) {
  auto payload = by_integrity(ours.suites, ProtocolId::ike, spi);
  for (auto& proposal : payload.proposals) {
    for (const auto prf : ours.prfs)
      proposal.transforms.push_back(transform(TransformType::prf, static_cast<std::uint16_t>(prf)));
    for (const auto method : ours.key_exchanges)
      proposal.transforms.push_back(transform(TransformType::key_exchange, method));
    add_additional(ours.additional, proposal);
  }
  return payload;
}

SecurityAssociation offer(const ChildAlgorithms& ours, Bytes spi) {
  auto payload = by_integrity(ours.suites, ProtocolId::esp, spi);
  for (auto& proposal : payload.proposals) {
    for (const auto method : ours.key_exchanges)
      proposal.transforms.push_back(transform(TransformType::key_exchange, method));
    if (ours.extended_sequence) proposal.transforms.push_back(transform(TransformType::sequence_numbers, 1));
    if (ours.short_sequence) proposal.transforms.push_back(transform(TransformType::sequence_numbers, 0));
    add_additional(ours.additional, proposal);
  }
  return payload;
}

SecurityAssociation answer(const IkeChoice& choice, Bytes spi) {
  auto proposal = chosen_suite(choice.proposal, ProtocolId::ike, choice.suite, spi);
  proposal.transforms.push_back(transform(TransformType::prf, static_cast<std::uint16_t>(choice.prf)));
  proposal.transforms.push_back(transform(TransformType::key_exchange, choice.key_exchange));
  add_chosen(choice.additional, proposal);
  return {{std::move(proposal)}};
}

SecurityAssociation answer(const ChildChoice& choice, Bytes spi) {
  auto proposal = chosen_suite(choice.proposal, ProtocolId::esp, choice.suite, spi);
  if (choice.key_exchange != none)
    proposal.transforms.push_back(transform(TransformType::key_exchange, choice.key_exchange));
  proposal.transforms.push_back(
      transform(TransformType::sequence_numbers, choice.extended_sequence ? std::uint16_t{1} : none));
  add_chosen(choice.additional, proposal);
  return {{std::move(proposal)}};
}

std::optional<IkeChoice> choose(const SecurityAssociation& offered, const IkeAlgorithms& ours,
                                std::uint16_t with_key_exchange) {
  return choose_first<IkeChoice>(offered, ours, with_key_exchange);
}
std::optional<ChildChoice> choose(const SecurityAssociation& offered, const ChildAlgorithms& ours,
                                  std::uint16_t with_key_exchange) {
  return choose_first<ChildChoice>(offered, ours, with_key_exchange);
}
std::optional<IkeChoice> accept_ike_answer(const SecurityAssociation& answer, const IkeAlgorithms& ours) {
  return accept<IkeChoice>(answer, ours);
}
std::optional<ChildChoice> accept_child_answer(const SecurityAssociation& answer,
                                               const ChildAlgorithms& ours) {
  return accept<ChildChoice>(answer, ours);
}

}  // namespace espgate::ike
