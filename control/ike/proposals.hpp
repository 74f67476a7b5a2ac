// What is offered and chosen in SA payloads (RFC 7296 2.7, 3.3). The wire's proposals are made from, and
// compared with, what the configuration allows. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/ike/message.hpp"
#include "control/ike/prf.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::ike {

// What an IKE SA may use, the preferred first. No list is empty.
struct IkeAlgorithms {
  std::vector<crypto::SuiteId> suites;  // that protects_ike allows
  std::vector<Prf> prfs;
  std::vector<std::uint16_t> key_exchanges;
  // Methods of the further key exchanges, one list for each, at most 7 (RFC 9370). Of each one is used: for a
  // new IKE SA by IKE_INTERMEDIATE, for one that replaces another by IKE_FOLLOWUP_KE.
  std::vector<std::vector<std::uint16_t>> additional{};
  bool operator==(const IkeAlgorithms&) const = default;
};
// What a child SA may use. Without key exchanges its keys come from the IKE SA's alone; the first child,
// which is made with IKE_AUTH, never has one of its own.
struct ChildAlgorithms {
  std::vector<crypto::SuiteId> suites;
  std::vector<std::uint16_t> key_exchanges;
  bool extended_sequence = true;  // may be used ...
  bool short_sequence = false;    // ... or not; one of the two is true
  // As of an IKE SA, behind the first one, each by an IKE_FOLLOWUP_KE.
  std::vector<std::vector<std::uint16_t>> additional{};

  // Of the first child, or where the keys come from the IKE SA's.
  void clear_key_exchanges() {
    key_exchanges.clear();
    additional.clear();
  }
  bool operator==(const ChildAlgorithms&) const = default;
};

struct IkeChoice {
  std::uint8_t proposal = 0;  // its number
  crypto::SuiteId suite{};
  Prf prf{};
  std::uint16_t key_exchange = 0;
  std::uint64_t spi = 0;                    // the offerer's; 0 in IKE_SA_INIT, where the header has it
  std::vector<std::uint16_t> additional{};  // in the order that they are done in
  bool operator==(const IkeChoice&) const = default;
};
struct ChildChoice {
  std::uint8_t proposal = 0;
  crypto::SuiteId suite{};
  std::uint16_t key_exchange = 0;  // 0: none
  bool extended_sequence = false;
  std::uint32_t spi = 0;  // the offerer's
  std::vector<std::uint16_t> additional{};
  bool operator==(const ChildChoice&) const = default;
};

// Our offer. `spi`, big endian, must outlive it; it is empty in IKE_SA_INIT. One proposal for all AEADs and
// one for each integrity algorithm, so that nothing is offered that the lists do not allow together.
SecurityAssociation offer(const IkeAlgorithms& ours, Bytes spi);
SecurityAssociation offer(const ChildAlgorithms& ours, Bytes spi);
// The answer to an offer: the one chosen proposal with our SPI.
SecurityAssociation answer(const IkeChoice& choice, Bytes spi);
SecurityAssociation answer(const ChildChoice& choice, Bytes spi);

// The first of the offered proposals that we allow, and of it what we prefer. `with_key_exchange` prefers the
// method of the KE payload that came along, if we allow it; 0: there was none.
std::optional<IkeChoice> choose(const SecurityAssociation& offered, const IkeAlgorithms& ours,
                                std::uint16_t with_key_exchange);
std::optional<ChildChoice> choose(const SecurityAssociation& offered, const ChildAlgorithms& ours,
                                  std::uint16_t with_key_exchange);
// What the peer chose of our offer. None: it is not one of our proposals with one transform of each type.
std::optional<IkeChoice> accept_ike_answer(const SecurityAssociation& answer, const IkeAlgorithms& ours);
std::optional<ChildChoice> accept_child_answer(const SecurityAssociation& answer,
                                               const ChildAlgorithms& ours);

}  // namespace espgate::ike
