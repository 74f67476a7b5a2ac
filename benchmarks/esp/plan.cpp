#include "benchmarks/esp/plan.hpp"

#include <algorithm>
#include <iterator>

#include "datapath/tunnel/tunnel_table.hpp"

namespace espgate::bench {
namespace {

template <typename T>
bool chosen(const std::vector<T>& wanted, T candidate) {
  return wanted.empty() || std::ranges::find(wanted, candidate) != wanted.end();
}

// What is wanted explicitly is measured even where the usual list leaves it out.
template <typename T>
std::vector<T> values(const std::vector<T>& wanted, std::vector<T> usual) {
  return wanted.empty() ? std::move(usual) : wanted;
}

// A million jumbo frames would take ten gigabytes.
bool fits(unsigned inner_bytes, std::uint32_t sas) {
  return inner_bytes <= 1'500 || sas <= 65'536;
}

std::vector<Scene> scenes_of(const Selection& selection, const std::vector<crypto::SuiteId>& suites) {
  const bool quick = selection.quick;
  const auto sizes =
      values<unsigned>(selection.inner_bytes, quick ? std::vector<unsigned>{46, 1'400}
                                                    : std::vector<unsigned>{46, imix, 1'400, 8'900});
  const auto counts =
      values<std::uint32_t>(selection.sas, quick ? std::vector<std::uint32_t>{1, 50'000}
                                                 : std::vector<std::uint32_t>{1, 1'000, 50'000, 1'000'000});
  std::vector<Scene> scenes;
  for (const auto suite : suites)
    for (const auto direction : {Direction::inbound, Direction::outbound}) {
      if (!chosen(selection.directions, direction)) continue;
      for (const auto sas : counts) {
        if (selection.route == Route::vti && sas > tunnel::most_tunnels) continue;
        Scene scene{direction, sas, suite, {}, 1, selection.route};
        if (chosen(selection.kinds, Kind::esp))
          for (const auto bytes : sizes)
            if (fits(bytes, sas)) scene.loads.push_back({Kind::esp, bytes});
        if (direction == Direction::inbound && sas >= 1'000 && chosen(selection.kinds, Kind::unknown_spi))
          scene.loads.push_back({Kind::unknown_spi, 46});
        if (!scene.loads.empty()) scenes.push_back(std::move(scene));
      }
    }
  return scenes;
}

}  // namespace

std::vector<Scene> plan(const Selection& selection) {
  if (!selection.suites.empty()) return scenes_of(selection, selection.suites);
  std::vector<crypto::SuiteId> others;
  for (const auto& suite : crypto::suites())
    if (suite.id != main_suite) others.push_back(suite.id);
  auto scenes = scenes_of(selection, {main_suite});
  if (!chosen(selection.kinds, Kind::esp)) return scenes;
  Selection rest = selection;
  if (!selection.full) {
    if (selection.quick || !chosen(selection.sas, 1u)) return scenes;
    // A row of each kind for every other suite.
    rest.sas = {1};
    if (rest.inner_bytes.empty()) rest.inner_bytes = {46, 1'400};
  }
  rest.kinds = {Kind::esp};  // an unknown SPI has no suite
  std::ranges::move(scenes_of(rest, others), std::back_inserter(scenes));
  return scenes;
}

}  // namespace espgate::bench
