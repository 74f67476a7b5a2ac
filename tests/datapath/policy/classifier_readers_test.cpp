// Workers look up while the control thread changes the database. What they may see is fixed beforehand.
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "tests/datapath/policy/policies.hpp"

using namespace espgate;
using namespace espgate::policy;
using namespace espgate::testing;

namespace {

// Each counts its rounds; the barrier waits until a round that began after the call is over.
struct Readers {
  static constexpr unsigned count = 2;
  std::array<std::atomic<std::uint64_t>, count> rounds{};
  std::atomic<std::uint64_t> waits{0};
  std::atomic<bool> stop{false};

  static void wait(void* context) {
    auto& readers = *static_cast<Readers*>(context);
    ++readers.waits;
    for (auto& rounds : readers.rounds) {
      const auto begun = rounds.load();
      while (rounds.load() < begun + 2 && !readers.stop.load()) std::this_thread::yield();
    }
  }
};

std::string network(unsigned site) {
  return "10.2." + std::to_string(site) + ".0/24";
}

}  // namespace

// Behind everything, all is discarded (order 1,000,000). The site's own rule, when there is one, says
// protect(site), at changing orders, in changing shapes, sometimes twice. Site 0 always has one: there the
// readers settle between what comes and what goes.
TEST_CASE("a worker sees a database from before or after a change, never another") {
  constexpr unsigned sites = 16;
  Readers readers;
  const auto table = classifier(64, {&Readers::wait, &readers});
  REQUIRE(table->add(selector("0.0.0.0/0", "0.0.0.0/0"), 1'000'000, Decision::discard()));
  std::atomic<std::uint64_t> wrong{0}, protected_packets{0}, lost{0};
  const auto run = [&](unsigned id) {
    std::mt19937 random(id);
    std::array<net::Flow, 64> flows;
    std::array<Match, 64> matches;
    std::array<unsigned, 64> site;
    while (!readers.stop.load()) {
      for (std::size_t i = 0; i < flows.size(); ++i) {
        site[i] = static_cast<unsigned>(random() % sites);
        auto one = packet("10.1.0.1", "10.2.0.9", 6, 1000, 443);
        one.remote.bytes[2] = static_cast<std::uint8_t>(site[i]);
        flows[i] = one.flow();
      }
      look_up_all(*table, flows, matches.data());
      for (std::size_t i = 0; i < flows.size(); ++i) {
        const bool own = matches[i].decision == Decision::protect(site[i]);
        wrong += !own && matches[i].decision != Decision::discard();
        lost += !own && site[i] == 0;
        protected_packets += own;
        if (matches[i].rule != no_rule) table->count(id, matches[i].rule);
      }
      ++readers.rounds[id];
    }
  };
  std::mt19937 random(7);
  std::vector<std::vector<std::uint32_t>> present(sites);
  present[0].push_back(*table->add(selector("10.1.0.0/24", network(0)), 500'000, Decision::protect(0)));
  std::thread first(run, 0), second(run, 1);

  const auto shape = [&](unsigned site) {
    switch (random() % 4) {
      case 0:
        return selector("10.1.0.0/24", network(site));
      case 1:
        return selector("10.1.0.0/24", network(site), 6, {}, {443, 443});
      case 2:
        return selector("10.1.0.0/16", network(site), 6, {}, {400, 500});
      default:
        return selector("10.1.0.0-10.1.0.77", network(site), 6);
    }
  };
  std::uint64_t order = 500'000;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  std::uint64_t changes = 0;
  while (std::chrono::steady_clock::now() < until) {
    const auto site = static_cast<unsigned>(random() % sites);
    auto& rules = present[site];
    order = random() % 2 == 0 ? order + 1 : order - 1;
    if (const auto rule = table->add(shape(site), order % 999'999, Decision::protect(site)))
      rules.push_back(*rule);
    if (site == 0) table->settle();
    const std::size_t keep = site == 0 ? 1 : random() % 3;
    while (rules.size() > keep) {
      table->remove(rules.front());
      rules.erase(rules.begin());
    }
    ++changes;
  }
  readers.stop = true;
  first.join();
  second.join();
  CAPTURE(changes, readers.waits.load());
  CHECK(wrong == 0);
  CHECK(protected_packets > 0);
  CHECK(readers.waits > 10);
  CHECK(lost == 0);
}
