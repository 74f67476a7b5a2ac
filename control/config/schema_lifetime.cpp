#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

constexpr long long most_count = 1'000'000'000'000'000'000;
constexpr long long ten_years_s = 315'360'000;

constexpr std::array<Multiple, 4> of_packets{
    {{"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}, {"T", 1'000'000'000'000}}};
constexpr std::array<Multiple, 8> of_bytes{{{"kB", 1'000},
                                            {"MB", 1'000'000},
                                            {"GB", 1'000'000'000},
                                            {"TB", 1'000'000'000'000},
                                            {"KiB", 1LL << 10},
                                            {"MiB", 1LL << 20},
                                            {"GiB", 1LL << 30},
                                            {"TiB", 1LL << 40}}};
constexpr std::array<Multiple, 4> of_seconds{{{"s", 1}, {"min", 60}, {"h", 3'600}, {"d", 86'400}}};

constexpr Key limit(std::string_view name, std::string_view unit, long long most,
                    std::span<const Multiple> multiples, std::string_view meaning) {
  return {.name = name,
          .kind = Kind::integer,
          .unit = unit,
          .least = 1,
          .most = most,
          .multiples = multiples,
          .meaning = meaning};
}

constexpr std::array lifetime_keys{
    limit("soft-packets", "packets", most_count, of_packets,
          "After so many, `show events`, the log and `show sa` tell that the SA wants to be replaced. Less "
          "than hard-packets."),
    limit("hard-packets", "packets", most_count, of_packets, "After so many, no packet passes."),
    limit("soft-bytes", "bytes", most_count, of_bytes,
          "The same in bytes of inner packets, such as \"90 GB\" or \"64 GiB\". Less than hard-bytes."),
    limit("hard-bytes", "bytes", most_count, of_bytes, "A packet that would lead past them does not pass."),
    limit(
        "soft-seconds", "seconds", ten_years_s, of_seconds,
        "The same in seconds since the key came into use, such as \"45 min\", \"7 h\" or \"1 d\". Less than "
        "hard-seconds."),
    limit("hard-seconds", "seconds", ten_years_s, of_seconds, "After so long, no packet passes."),
};

}  // namespace

const Group lifetime_group{
    "connections[].lifetime",
    "How long each of the connection's SAs may be used; what is left out has no limit. Only good packets "
    "count. An SA past a hard limit drops everything until it gets another key; a reload without one changes "
    "nothing, nor does deleting the SA before: a key that comes back goes on where it was. As many keys are "
    "remembered as limits.tombstones. A restart forgets them: change the keys of such a connection first.",
    lifetime_keys};

}  // namespace espgate::config
