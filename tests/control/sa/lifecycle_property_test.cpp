// Random lives, checked after every step. A failure prints the seed that repeats it.
#include <catch2/catch.hpp>
#include <set>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

constexpr unsigned names = 6;
constexpr std::size_t tombstones_max = 4;

class Life {
 public:
  explicit Life(std::uint64_t seed) : s({24, 10, 2}, {tombstones_max, 60s, 10s}), random_(seed) {
    s.sink.changed = [this] { check_policies(); };
    reload();
  }

  void step() {
    const auto tokens = s.grace.started;
    switch (draw(10)) {
      case 0:
        reload();
        break;
      case 1:
        reserve();
        break;
      case 2:
        install();
        break;
      case 3:
        replace();
        break;
      case 4:
        (void)s.manager.install_outbound(name(), parameters(0x8000 + draw(1000)), s.now);
        break;
      case 5:
        (void)s.manager.retire_inbound(some_spi(), Reason(draw(3)), s.now);
        break;
      case 6:
        (void)s.manager.retire_outbound(name(), Reason(draw(3)), s.now);
        break;
      case 7:
        s.grace.quiet += draw(static_cast<unsigned>(s.grace.started - s.grace.quiet + 1));
        break;
      case 8:
        s.advance(std::chrono::seconds(draw(20)));
        break;
      case 9:
        s.engine.refuse = draw(4) == 0;
        break;
    }
    check(tokens);
  }

  // Everything goes: nothing may be left in the store or in the policy table.
  void end() {
    s.engine.refuse = false;
    protected_.clear();
    s.configuration.connections.clear();
    REQUIRE(s.configure().problems.empty());
    s.settle();
    CHECK(s.sink.table.empty());
    CHECK(s.sas().empty());
    CHECK(s.store->table().size() == 0);
    CHECK(s.manager.waiting_for_readers() == 0);
    for (std::uint32_t i = 0; i < s.store->limits().inbound; ++i) CHECK(s.store->reserve_inbound(0x9000 + i));
    for (std::uint32_t i = 0; i < s.store->limits().outbound; ++i)
      CHECK(s.store->install_outbound(parameters(0x9000 + i)));
  }

 private:
  unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }
  std::string name() { return fmt::format("c{}", draw(names)); }
  static SaParameters parameters(std::uint32_t spi) {
    SaParameters result;
    result.spi = spi;
    result.keymat.assign(20, 7);
    result.local = address("192.0.2.1");
    result.remote = address("198.51.100.1");
    result.selectors = {net::between(prefix("10.1.0.0/16"), prefix("20.0.1.0/24"))};
    return result;
  }
  std::uint32_t some_spi() {
    const auto sas = s.sas();
    return sas.empty() ? 1234 : sas[draw(static_cast<unsigned>(sas.size()))].spi;
  }

  void reload() {
    auto& connections = s.configuration.connections;
    connections.clear();
    std::set<net::Prefix> networks;
    for (unsigned i = 0; i < names; ++i) {
      if (draw(4) == 0) continue;
      auto wanted = connection(i);
      wanted.remote_networks = {connection(draw(2) ? i : (i + 1) % names).remote_networks};
      if (draw(3) == 0)
        wanted.inbound = manual(0x1000 + i + 0x100 * draw(3), static_cast<std::uint8_t>(draw(2)));
      if (draw(3) == 0) wanted.outbound = manual(0x2000 + i, static_cast<std::uint8_t>(draw(2)));
      if (draw(5) == 0) wanted.inbound.reset();
      if (draw(5) == 0) wanted.outbound.reset();
      connections.push_back(wanted);
    }
    for (const auto& wanted : connections) networks.insert(wanted.remote_networks[0]);
    // While the reload runs, what both configurations protect must be protected throughout.
    std::set<net::Prefix> both;
    for (const auto& network : networks)
      if (protected_.contains(network)) both.insert(network);
    protected_ = both;
    (void)s.configure();
    protected_ = networks;
    check_policies();
  }
  void reserve() {
    const auto spi = s.manager.allocate_spi();
    REQUIRE(spi);
    (void)s.manager.reserve(name(), *spi, s.now);
  }
  void install() {
    for (const auto& sa : s.sas())
      if (sa.state == "larval") {
        (void)s.manager.install_inbound(parameters(sa.spi), s.now);
        return;
      }
  }
  void replace() {
    (void)s.manager.replace(name(), parameters(*s.manager.allocate_spi()), parameters(0x8000 + draw(1000)),
                            s.now);
  }

  void check_policies() {
    for (const auto& network : protected_) {
      const auto found = s.sink.table.find(network);
      REQUIRE(found != s.sink.table.end());
      REQUIRE(found->second.demands_protection());
    }
    for (const auto& [network, decision] : s.sink.table)
      if (decision.is_protect()) REQUIRE(s.store->outbound(decision.outbound_sa()).spi != 0);
  }

  void check(std::uint64_t tokens_before) {
    std::map<std::uint32_t, std::uint32_t> seen;  // inbound index -> SPI
    std::set<std::uint32_t> spis;
    std::set<std::uint32_t> outbound;
    for (const auto& sa : s.sas()) {
      if (sa.direction == Direction::outbound) {
        REQUIRE(outbound.insert(sa.index).second);
        continue;
      }
      REQUIRE(spis.insert(sa.spi).second);
      REQUIRE(s.store->find(sa.spi) == sa.index);
      seen[sa.index] = sa.spi;
    }
    REQUIRE(spis.size() == s.store->table().size());
    REQUIRE(s.count(Direction::inbound, "retired") <= tombstones_max);
    check_policies();
    // An entry that was unlinked in some step had its grace started in that step at the earliest, so it
    // must not come back before that token has passed.
    check_reuse(inbound_before_, inbound_gone_, seen, tokens_before);
    std::map<std::uint32_t, std::uint32_t> outbound_seen;
    for (const auto index : outbound) outbound_seen[index] = s.store->outbound(index).spi;
    check_reuse(outbound_before_, outbound_gone_, outbound_seen, tokens_before);
  }

  using Entries = std::map<std::uint32_t, std::uint32_t>;
  void check_reuse(Entries& before, std::map<std::uint32_t, std::uint64_t>& gone, const Entries& seen,
                   std::uint64_t tokens_before) {
    for (const auto& [index, spi] : seen) {
      const auto it = gone.find(index);
      if (it == gone.end()) continue;
      REQUIRE(s.grace.quiet > it->second);
      gone.erase(it);
    }
    for (const auto& [index, spi] : before) {
      const auto now = seen.find(index);
      if (now == seen.end()) gone[index] = tokens_before;
      // In one step an entry cannot both go and come back, since no step lets the grace pass in between.
      else
        REQUIRE(now->second == spi);
    }
    before = seen;
  }

  Surroundings s;
  std::mt19937_64 random_;
  std::set<net::Prefix> protected_;
  Entries inbound_before_, outbound_before_;
  std::map<std::uint32_t, std::uint64_t> inbound_gone_, outbound_gone_;
};

}  // namespace

TEST_CASE("in any order of events no entry is reused early, none leaks and nothing is left unprotected") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Life life(seed);
    for (int i = 0; i < 500; ++i) life.step();
    life.end();
  }
}
