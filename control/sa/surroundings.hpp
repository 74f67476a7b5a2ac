// What the SA manager asks of its surroundings. The daemon implements these with RCU, the policy table,
// OpenSSL and the log; tests implement them with counters. All are called on the control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "datapath/base/expected.hpp"
#include "datapath/net/traffic_selector.hpp"
#include "datapath/policy/decision.hpp"
#include "datapath/policy/stand_in.hpp"

namespace espgate::sa {

// Tells when no worker can still hold what was unlinked. Tokens are passed in the order they started.
struct ReaderGrace {
  virtual ~ReaderGrace() = default;
  // Call after unlinking.
  virtual std::uint64_t start() = 0;
  // True once every worker has been quiescent since `token` was handed out. Does not wait.
  virtual bool passed(std::uint64_t token) = 0;
};

// The policies as workers search them (policy::Classifier). Rules are known by the number that `add` gave.
struct PolicySink {
  virtual ~PolicySink() = default;
  virtual Expected<std::uint32_t> add(const net::TrafficSelector& selector, std::uint64_t order,
                                      policy::Decision decision) = 0;
  // A packet sees the old or the new decision, never none.
  virtual void set(std::uint32_t rule, policy::Decision decision) = 0;
  virtual void remove(std::uint32_t rule) = 0;
  // Waits until no worker is in a search that began before what was added last.
  virtual void settle() = 0;
  // All that `add` refused and what must not leave in clear for that: at most policy::most_stand_ins, in the
  // place of those before.
  virtual void stand_in(std::span<const policy::StandIn> refused) = 0;
};

enum class Severity : std::uint8_t { info, warning };
using Log = std::function<void(Severity, std::string_view line)>;

// 32 unpredictable bits a call.
using RandomSource = std::function<std::uint32_t()>;
// The RandomSource of the daemon: OpenSSL's generator. Gives 0 when that fails.
std::uint32_t openssl_random();

}  // namespace espgate::sa
