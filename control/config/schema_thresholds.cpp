#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

constexpr std::array threshold_keys{
    Key{.name = "reason",
        .kind = Kind::text,
        .least = 1,
        .most = any_length,
        .required = true,
        .meaning = "A drop reason by its number (\"62\") or name, or a group such as \"IpsecInput\"."},
    Key{.name = "per-minute",
        .kind = Kind::integer,
        .unit = "packets",
        .least = 1,
        .most = 1'000'000'000'000,
        .required = true,
        .meaning = "So many in the last minute are worth a warning."},
};

}  // namespace

const Group threshold_group{
    "thresholds[]",
    "A warning, in the log and in `espgatectl show events`, when packets are dropped for a reason more often "
    "than this. It comes once, and again only after the last minute's drops have been below half of it.",
    threshold_keys};

}  // namespace espgate::config
