// Which algorithms IKE and its children may use: lists of names, of which weak ones are refused by reason.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "control/config/algorithms.hpp"
#include "control/config/ike_settings.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"
#include "control/ike/key_exchange.hpp"
#include "control/ike/protection.hpp"

namespace espgate::config {
namespace {

// One algorithm's names: reads each element of a list by `find`, which gives a value or nothing and may say
// why.
template <typename Value, typename Find>
void read_list(const GroupReader& group, std::string_view key, std::vector<Value>& out,
               std::span<const std::string_view> names, Find find) {
  if (!group.given(key)) return;
  out.clear();
  for (const auto& element : group.texts(key)) {
    std::string_view reason = why_refused(element.text);
    const std::optional<Value> value = find(element.text, reason);
    if (value && reason.empty()) {
      if (std::ranges::find(out, *value) != out.end())
        group.report().warning(element.row, element.path.text(),
                               fmt::format("{} is in the list already", shown(element.text)), "remove it");
      else
        out.push_back(*value);
      continue;
    }
    const auto similar = nearest(element.text, names);
    group.report().error(element.row, element.path.text(),
                         reason.empty() ? fmt::format("{} is not known", shown(element.text))
                                        : fmt::format("{} is not allowed: {}", shown(element.text), reason),
                         similar && reason.empty() ? fmt::format("did you mean \"{}\"?", *similar)
                                                   : fmt::format("choose among {}", one_of(names)));
  }
}

using Weakness = std::string_view (*)(const crypto::Suite& suite);

void read_suites(const GroupReader& group, std::string_view key, Weakness weakness,
                 std::vector<crypto::SuiteId>& out) {
  std::vector<std::string_view> names;
  for (const auto& suite : crypto::suites())
    if (weakness(suite).empty()) names.push_back(suite.name);
  const auto find = [&](std::string_view name, std::string_view& reason) -> std::optional<crypto::SuiteId> {
    const auto* suite = crypto::find_suite(name);
    if (suite == nullptr) return {};
    if (reason.empty()) reason = weakness(*suite);
    return suite->id;
  };
  read_list(group, key, out, names, find);
}

const ike::KeyExchangeMethod* method_named(std::string_view name) {
  const auto methods = ike::key_exchange_methods();
  const auto found = std::ranges::find(methods, name, &ike::KeyExchangeMethod::name);
  return found == methods.end() ? nullptr : &*found;
}

void read_key_exchanges(const GroupReader& group, std::string_view key, std::vector<std::uint16_t>& out) {
  std::vector<std::string_view> names;
  for (const auto& method : ike::key_exchange_methods())
    if (why_not_alone(method).empty()) names.push_back(method.name);
  const auto find = [](std::string_view name, std::string_view& reason) -> std::optional<std::uint16_t> {
    const auto* method = method_named(name);
    if (method == nullptr) return {};
    if (reason.empty()) reason = why_not_alone(*method);
    return method->id;
  };
  read_list(group, key, out, names, find);
}

// Each is an exchange of its own, key encapsulations too.
void read_additional(const GroupReader& group, std::vector<std::vector<std::uint16_t>>& out) {
  constexpr std::string_view key = "additional-key-exchanges";
  constexpr std::size_t most = 7;
  std::vector<std::string_view> names;
  for (const auto& method : ike::key_exchange_methods()) names.push_back(method.name);
  std::vector<std::uint16_t> methods;
  read_list(group, key, methods, names,
            [](std::string_view name, std::string_view&) -> std::optional<std::uint16_t> {
              const auto* method = method_named(name);
              return method == nullptr ? std::nullopt : std::optional(method->id);
            });
  if (methods.size() > most)
    group.error(key, fmt::format("{} are more than the 7 that there can be", methods.size()),
                "leave some out");
  for (const auto method : methods) out.push_back({method});
}

}  // namespace

void read_ike_algorithms(const GroupReader& group, IkeSettings& settings) {
  auto& ours = settings.algorithms;
  ours = preset_algorithms();
  read_suites(group, "suites", weakness_for_ike, ours.suites);
  read_list(group, "prfs", ours.prfs, prf_names,
            [&](std::string_view name, std::string_view&) -> std::optional<ike::Prf> {
              const auto* found = std::ranges::find(prf_names, name);
              if (found == std::end(prf_names)) return {};
              return prfs[found - std::begin(prf_names)];
            });
  read_key_exchanges(group, "key-exchanges", ours.key_exchanges);
  read_additional(group, ours.additional);
  auto& children = settings.child_algorithms;
  children.suites = ours.suites;
  children.key_exchanges = ours.key_exchanges;
  read_suites(group, "child-suites", weakness_of, children.suites);
  read_key_exchanges(group, "pfs", children.key_exchanges);
}

}  // namespace espgate::config
