#include "control/sa/policy_book.hpp"

namespace espgate::sa {

PolicyBook::PolicyBook(PolicySink& sink, std::uint32_t outbound_limit, Unreferenced unreferenced)
    : sink_(sink), unreferenced_(std::move(unreferenced)), references_(outbound_limit, 0) {}

Expected<void> PolicyBook::set(const net::Prefix& destination, forward::Decision decision) {
  const auto found = policies_.find(destination);
  const auto before = found == policies_.end() ? forward::Decision{} : found->second;
  if (before == decision) return {};
  if (auto done = sink_.set(destination, decision); !done) return done;
  if (decision.is_protect()) ++references_[decision.outbound_sa()];
  if (found == policies_.end()) {
    policies_.emplace(destination, decision);
  } else {
    found->second = decision;
  }
  drop_reference(before);
  return {};
}

Expected<void> PolicyBook::remove(const net::Prefix& destination) {
  const auto found = policies_.find(destination);
  if (found == policies_.end()) return {};
  if (auto done = sink_.remove(destination); !done) return done;
  const auto before = found->second;
  policies_.erase(found);
  drop_reference(before);
  return {};
}

std::vector<net::Prefix> PolicyBook::select(const std::function<bool(const net::Prefix&)>& unwanted) const {
  std::vector<net::Prefix> result;
  for (const auto& [destination, decision] : policies_)
    if (unwanted(destination)) result.push_back(destination);
  return result;
}

void PolicyBook::drop_reference(forward::Decision decision) {
  if (!decision.is_protect()) return;
  if (--references_[decision.outbound_sa()] == 0) unreferenced_(decision.outbound_sa());
}

}  // namespace espgate::sa
