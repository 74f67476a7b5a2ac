// The results of `show drops` and `show drops ipsec`, made from the verdict table and counts.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "datapath/verdict/verdict.hpp"

namespace espgate::cli {

// How often each verdict was given, indexed by index_of(verdict), summed over the threads.
using VerdictCounts = std::span<const std::uint64_t, verdict_count>;

// Arguments as the request has them: "nonzero". `since`: time_text() of the counts' start.
nlohmann::json drops_by_group(VerdictCounts counts, const nlohmann::json& arguments,
                              const std::string& since);
// Arguments: "nonzero", "all".
nlohmann::json drops_by_reason(VerdictCounts counts, const nlohmann::json& arguments,
                               const std::string& since);

}  // namespace espgate::cli
