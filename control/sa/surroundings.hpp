// What the SA manager asks of its surroundings. The daemon implements these with RCU, the policy table,
// OpenSSL and the log; tests implement them with counters. All are called on the control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "datapath/base/expected.hpp"
#include "datapath/forward/forwarding.hpp"
#include "datapath/net/address.hpp"

namespace espgate::sa {

// Tells when no worker can still hold what was unlinked. Tokens are passed in the order they started.
struct ReaderGrace {
  virtual ~ReaderGrace() = default;
  // Call after unlinking.
  virtual std::uint64_t start() = 0;
  // True once every worker has been quiescent since `token` was handed out. Does not wait.
  virtual bool passed(std::uint64_t token) = 0;
};

// The outbound policy table.
struct PolicySink {
  virtual ~PolicySink() = default;
  // Adds or replaces; a packet sees the old or the new decision, never none.
  virtual Expected<void> set(const net::Prefix& destination, forward::Decision decision) = 0;
  virtual Expected<void> remove(const net::Prefix& destination) = 0;
};

enum class Severity : std::uint8_t { info, warning };
using Log = std::function<void(Severity, std::string_view line)>;

// 32 unpredictable bits a call.
using RandomSource = std::function<std::uint32_t()>;
// The RandomSource of the daemon: OpenSSL's generator. Gives 0 when that fails.
std::uint32_t openssl_random();

}  // namespace espgate::sa
