#include "control/daemon/difference.hpp"

#include <catch2/catch.hpp>

#include "control/config/configuration.hpp"

namespace espgate::test {
namespace {

config::Policy policy(const char* to, config::PolicyAction action) {
  const auto prefix = *net::parse_prefix(to);
  config::Policy result;
  result.selector = net::between({prefix.address.family == net::Family::v4 ? *net::parse_prefix("0.0.0.0/0")
                                                                           : *net::parse_prefix("::/0")},
                                 prefix);
  result.action = action;
  return result;
}
const auto key = [](const config::Policy& policy) { return net::to_string(policy.selector); };
const auto same = [](const config::Policy& a, const config::Policy& b) { return a.action == b.action; };
constexpr auto bypass = config::PolicyAction::bypass;
constexpr auto discard = config::PolicyAction::discard;

TEST_CASE("Each item is added, removed, changed or kept") {
  const std::vector before{policy("10.1.0.0/16", bypass), policy("10.2.0.0/16", bypass),
                           policy("10.3.0.0/16", bypass)};
  const std::vector after{policy("10.4.0.0/16", bypass), policy("10.3.0.0/16", discard),
                          policy("10.1.0.0/16", bypass)};
  const auto difference = daemon::difference(before, after, key, same);
  CHECK(difference.added == std::vector{&after[0]});
  CHECK(difference.removed == std::vector{&before[1]});
  REQUIRE(difference.changed.size() == 1);
  CHECK(difference.changed[0] == std::pair{&before[2], &after[1]});
  CHECK(difference.kept == std::vector{&after[2]});
  CHECK(difference.json("policies") ==
        nlohmann::json{{"what", "policies"}, {"added", 1}, {"removed", 1}, {"changed", 1}, {"kept", 1}});
}

TEST_CASE("Prefixes of one address but another length or family are different items") {
  const std::vector before{policy("10.0.0.0/8", bypass), policy("::/0", bypass)};
  const std::vector after{policy("10.0.0.0/16", bypass), policy("0.0.0.0/0", bypass)};
  const auto difference = daemon::difference(before, after, key, same);
  CHECK(difference.added.size() == 2);
  CHECK(difference.removed.size() == 2);
  CHECK(difference.changed.empty());
}

TEST_CASE("Nothing differs from itself, and everything from nothing") {
  const std::vector some{policy("10.0.0.0/8", bypass), policy("::/0", discard)};
  const std::vector<config::Policy> none;
  CHECK(daemon::difference(some, some, key, same).kept.size() == 2);
  CHECK(daemon::difference(none, some, key, same).added.size() == 2);
  CHECK(daemon::difference(some, none, key, same).removed.size() == 2);
  CHECK(daemon::difference(none, none, key, same).kept.empty());
}

}  // namespace
}  // namespace espgate::test
