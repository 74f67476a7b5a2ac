// What is known of a connection, as far as it speaks for one cause of trouble or another.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <unordered_map>

#include "control/daemon/services.hpp"
#include "control/recovery/diagnosis.hpp"

namespace espgate::daemon {

// ESP that came in the last minutes (recovery::RecentCount::window) and that no SA took: packets with SPIs of
// nobody's, by connection and class, and what came by ports where ipsec is off. Taken together since one pass
// over all flows is as much work as looking for those of one connection; of very many flows the most recent.
struct RecentEsp {
  struct Invalid {
    std::array<std::uint64_t, recovery::class_count> packets{};
    std::chrono::nanoseconds last{};  // of them; steady
  };
  std::unordered_map<std::string, Invalid> invalid;
  std::uint64_t without_ipsec = 0;
};
RecentEsp recent_esp(const Services& services);

// Of a connection, or of its `peer` where it has them at any address (else null). A reading of this moment.
recovery::Facts diagnosis_facts(const Services& services, const config::Connection& connection,
                                const IkeService::Peer* peer, const RecentEsp& recent);

}  // namespace espgate::daemon
