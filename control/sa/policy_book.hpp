// What outbound policy says, prefix by prefix, as it stands in the sink: the manager's memory of it. It
// knows which outbound SAs a policy still names, and so which may not be freed.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "control/sa/surroundings.hpp"

namespace espgate::sa {

struct PrefixHash {
  std::size_t operator()(const net::Prefix& prefix) const noexcept {
    return std::hash<net::Address>{}(prefix.address) * 131 + prefix.length;
  }
};

class PolicyBook {
 public:
  // An outbound SA, by store index, that no policy names any more.
  using Unreferenced = std::function<void(std::uint32_t outbound_sa)>;

  // `sink` outlives the book; `outbound_limit` is the store's.
  PolicyBook(PolicySink& sink, std::uint32_t outbound_limit, Unreferenced unreferenced);

  // On error the sink's decision and the book's are as before.
  Expected<void> set(const net::Prefix& destination, forward::Decision decision);
  Expected<void> remove(const net::Prefix& destination);

  std::uint32_t references(std::uint32_t outbound_sa) const { return references_[outbound_sa]; }
  std::size_t size() const { return policies_.size(); }
  // All destinations for which `unwanted` holds, to be removed by the caller.
  std::vector<net::Prefix> select(const std::function<bool(const net::Prefix&)>& unwanted) const;

 private:
  void drop_reference(forward::Decision decision);

  PolicySink& sink_;
  Unreferenced unreferenced_;
  std::unordered_map<net::Prefix, forward::Decision, PrefixHash> policies_;
  std::vector<std::uint32_t> references_;  // by outbound SA
};

}  // namespace espgate::sa
