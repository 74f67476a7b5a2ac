#include "control/recovery/findings.hpp"

#include <algorithm>
#include <cmath>

namespace espgate::recovery {
namespace {

struct CauseWords {
  std::string_view name;
  std::string_view remedy;  // unless the sign has a better one
};

constexpr std::array<CauseWords, cause_count> cause_words{{
    {"all well", "nothing"},
    {"waiting", "nothing, or `initiate` it"},
    {"terminated", "`initiate` it"},
    {"configuration mismatch", "`explain` tells what both sides offered and what did not fit: make it alike"},
    {"peer down", "see whether the peer's host and its IKE run, and whether it can be reached"},
    {"firewall", "let UDP ports 500 and 4500 and IP protocol 50 through on the way, in both directions"},
    {"one-way traffic", "nothing, if only this side has to send; else see whether the peer sends"},
    {"NAT rebinding", "set follow-peer = true, and a nat-keepalive shorter than the NAT's memory"},
    {"loss", "find where packets are lost: `show drops` on both sides, then the path between them"},
    {"restart of the peer", "nothing, if it came back; find out why it restarts if that goes on"},
    {"restart of this gateway", "nothing: it is repaired as invalid-spi-recovery allows"},
    {"port down", "check the cable, the switch and `show ports`"},
    {"address missing", "add the address to a port, or correct `local`"},
    {"routing", "check `show routes` for the peer's address, and `ip neigh` for the next hop"},
    {"expired", "change the key on both sides"},
    {"no room", "raise the limit that is named, or provide more of what is"},
    {"no room at the peer",
     "let the peer take more child SAs on one IKE SA, or want fewer there (child-of); of one that takes the "
     "first only, reauthenticate-after brings new keys"},
    {"fault of this gateway",
     "do what the reason says, if it does; it is tried again by itself; report it if that goes on"},
}};

constexpr double passed = 0.3;  // of the weight of what is over

unsigned together(const auto& pieces) {
  double doubt = 1;
  for (const auto& piece : pieces) doubt *= 1 - std::min(piece.weight, 100.0) / 100;
  return static_cast<unsigned>(std::lround(100 * (1 - doubt)));
}

}  // namespace

std::string_view name(Cause cause) {
  return cause_words[static_cast<std::size_t>(cause)].name;
}

void Findings::add(const Sign& sign, std::string evidence, double amount) {
  auto weight = std::min(sign.weight + sign.each * amount, sign.most);
  if (sign.can_pass && has_passed_) weight *= passed;
  if (weight > 0)
    pieces_[static_cast<std::size_t>(sign.cause)].push_back({weight, std::move(evidence), sign.remedy});
}

unsigned Findings::heaviest() const {
  unsigned most = 0;
  for (const auto& pieces : pieces_) most = std::max(most, together(pieces));
  return most;
}

std::vector<Finding> Findings::take() const {
  std::vector<Finding> all;
  for (std::size_t i = 0; i < cause_count; ++i) {
    auto pieces = pieces_[i];
    std::ranges::stable_sort(pieces, std::ranges::greater{}, &Piece::weight);
    Finding finding{static_cast<Cause>(i), together(pieces), {}, {}};
    if (finding.weight == 0) continue;
    const auto remedy = pieces.front().remedy;
    finding.remedy = remedy.empty() ? cause_words[i].remedy : remedy;
    for (auto& piece : pieces) finding.evidence.push_back(std::move(piece.evidence));
    all.push_back(std::move(finding));
  }
  std::ranges::stable_sort(all, std::ranges::greater{}, &Finding::weight);
  return all;
}

}  // namespace espgate::recovery
