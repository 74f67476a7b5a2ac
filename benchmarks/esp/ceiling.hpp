// The least that a packet can cost: IPsec-MB's own calls.
#pragma once

#include <optional>

#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/timing.hpp"
#include "benchmarks/esp/traffic.hpp"

namespace espgate::bench {

// For the same numbers of bytes, with the same keys in the same order and nothing else: no prefetch, and
// texts that are in the cache already. Nothing for a suite that IPsec-MB does not know.
std::optional<Distribution> measure_ceiling(const Scene& scene, const Load& load, const Traffic& traffic,
                                            Gateway& gateway, unsigned runs);

}  // namespace espgate::bench
