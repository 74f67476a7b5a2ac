// What a SaManager needs around it, as counters and switches.
#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <memory_resource>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/sa/sa_manager.hpp"

namespace espgate::sa::test {

// Copies keys instead of expanding them.
class FakeEngine : public crypto::Engine {
 public:
  std::string_view name() const override { return "fake"; }
  std::string_view implementation() const override { return "none"; }
  std::string library() const override { return "none"; }
  std::size_t prepared_key_bytes(crypto::SuiteId) const override { return 64; }
  Expected<void> prepare_key(crypto::SuiteId, std::span<const std::uint8_t> key, std::byte* out) override {
    if (refuse) return Error{"refused", ""};
    std::memcpy(out, key.data(), key.size());
    return {};
  }
  Expected<std::unique_ptr<crypto::Queue>> make_queue() override { return Error{"no queue", ""}; }
  std::span<const std::uint16_t> hot_key_lines(crypto::SuiteId) const override { return {}; }

  bool refuse = false;
};

struct FakeGrace : ReaderGrace {
  std::uint64_t start() override { return ++started; }
  bool passed(std::uint64_t token) override { return token <= quiet; }
  void pass() { quiet = started; }

  std::uint64_t started = 0;
  std::uint64_t quiet = 0;
};

// All that is due.
inline void move_all(SaManager& manager, Moment now) {
  manager.tick(now);
  while (manager.move_on(now) != 0) continue;
}

// Remembers rules; `table` tells what the first of them says of each remote network.
struct FakeSink : PolicySink {
  struct Rule {
    net::TrafficSelector selector;
    std::uint64_t order;
    policy::Decision decision;
  };

  Expected<std::uint32_t> add(const net::TrafficSelector& selector, std::uint64_t order,
                              policy::Decision decision) override {
    if (refuse && refuse(selector.remote.cover()))
      return Error{"the policy table is full", "raise limits.policies"};
    if (!by_remote[selector.remote.cover()].emplace(order, next).second)
      throw std::logic_error("two policies with one order");
    rules[next] = {selector, order, decision};
    tell(selector.remote.cover());
    return next++;
  }
  void set(std::uint32_t rule, policy::Decision decision) override {
    rules.at(rule).decision = decision;
    tell(rules.at(rule).selector.remote.cover());
  }
  void remove(std::uint32_t rule) override {
    const auto remote = rules.at(rule).selector.remote.cover();
    by_remote[remote].erase(rules.at(rule).order);
    rules.erase(rule);
    tell(remote);
  }
  void settle() override { ++settled; }
  void stand_in(std::span<const policy::StandIn> refused) override {
    standing_in.assign(refused.begin(), refused.end());
  }

  void tell(const net::Prefix& remote) {
    const auto& all = by_remote[remote];
    table.erase(remote);
    if (!all.empty()) table[remote] = rules.at(all.begin()->second).decision;
    if (changed) changed();
  }

  std::map<std::uint32_t, Rule> rules;
  std::map<net::Prefix, std::map<std::uint64_t, std::uint32_t>> by_remote;  // order to rule
  std::uint32_t next = 1;
  std::size_t settled = 0;
  std::vector<policy::StandIn> standing_in;
  std::map<net::Prefix, policy::Decision> table;
  std::function<bool(const net::Prefix&)> refuse;
  std::function<void()> changed;
};

inline net::Prefix prefix(const std::string& text) {
  return net::parse_prefix(text).value();
}
inline net::Address address(const std::string& text) {
  return net::parse_address(text).value();
}

inline config::ManualSa manual(std::uint32_t spi, std::uint8_t key_byte = 1) {
  return {spi, config::Secret(std::vector<std::uint8_t>(20, key_byte))};
}

// A connection with SPIs 0x1000 + number inbound and 0x2000 + number outbound.
inline config::Connection connection(unsigned number) {
  config::Connection result;
  result.name = fmt::format("c{}", number);
  result.line = 100 + number;
  result.local = address("192.0.2.1");
  result.remote = net::Address::v4(0xc6336400 + number);
  result.local_networks = {prefix("10.1.0.0/16")};
  result.remote_networks = {net::masked(net::Address::v4(0x14000000 + (number << 8)), 24)};
  result.inbound = manual(0x1000 + number);
  result.outbound = manual(0x2000 + number);
  return result;
}

inline config::Policy policy_to(const net::Prefix& to, config::PolicyAction action, unsigned line) {
  const auto everything = net::AddressRange::everything(to.address.family);
  return {{everything, net::AddressRange::of(to), {}, {}, {}}, action, config::policy_priority, "", line, 0};
}

struct Surroundings {
  explicit Surroundings(sa::Limits limits = {64, 32, 2}, SaManager::Options options = default_options(),
                        const SpiJournal* journal = nullptr)
      : store(SaStore::create(limits, engine, *std::pmr::new_delete_resource()).value()),
        manager({*store, sink, grace, [this] { return static_cast<std::uint32_t>(random()); },
                 [this](Severity, std::string_view line) { lines.emplace_back(line); },
                 [this](const LifetimeNews& told) {
                   news.push_back(fmt::format(
                       "{} {:x} {} {}", told.direction == Direction::inbound ? "in" : "out", told.spi,
                       told.stage == LifetimeStage::hard ? "hard" : "soft", told.connection));
                 },
                 nullptr,
                 [this](std::uint32_t outbound) {
                   if (outbound_path) outbound_path(outbound);
                 },
                 [this](std::span<const std::uint8_t> packet, tunnel::Index) {
                   dummies.emplace_back(packet.begin(), packet.end());
                 },
                 journal},
                options) {
    configuration.file = "espgate.conf";
  }
  static SaManager::Options default_options() {
    return {8, std::chrono::seconds(300), std::chrono::seconds(30)};
  }

  ConfigureResult configure() { return manager.configure(configuration, now); }
  void advance(std::chrono::nanoseconds by) {
    now.steady += by;
    now.wall += std::chrono::duration_cast<std::chrono::system_clock::duration>(by);
    move_all(manager, now);
  }
  // Time enough for everything to end.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      advance(std::chrono::seconds(400));
      grace.pass();
      advance(std::chrono::milliseconds(1));
    }
  }
  // The SPI that policy sends `network` to, or 0 when it is not protected by an SA.
  std::uint32_t outbound_spi(const net::Prefix& network) {
    const auto found = sink.table.find(network);
    if (found == sink.table.end() || !found->second.is_protect()) return 0;
    return store->outbound(found->second.outbound_sa()).spi;
  }
  State inbound_state(std::uint32_t spi) { return store->inbound(store->find(spi)).state.load(); }
  std::vector<SaReport> sas() {
    std::vector<SaReport> result;
    const auto add = [&](const SaReport& sa) { result.push_back(sa); };
    for (const auto& wanted : configuration.connections) manager.visit(wanted.name, add);
    manager.visit(std::string(), add);
    for (std::uint64_t place = 0; manager.visit_former(place, add);) {
    }
    return result;
  }
  std::size_t count(Direction direction, std::string_view state) {
    std::size_t result = 0;
    for (const auto& sa : sas()) result += sa.direction == direction && sa.state == state;
    return result;
  }

  FakeEngine engine;
  FakeGrace grace;
  FakeSink sink;
  std::mt19937_64 random{1};
  std::vector<std::string> lines;
  std::vector<std::string> news;  // of lifetimes
  std::function<void(std::uint32_t)> outbound_path;
  std::vector<std::vector<std::uint8_t>> dummies;
  std::unique_ptr<SaStore> store;
  SaManager manager;
  config::Configuration configuration;
  Moment now{std::chrono::hours(1), std::chrono::system_clock::time_point(std::chrono::hours(480'000))};
};

inline const auto network1 = prefix("20.0.1.0/24");
inline const auto network2 = prefix("20.0.2.0/24");

// Three connections, each with a network of its own, and two policies.
struct Started : Surroundings {
  Started() {
    configuration.connections = {connection(1), connection(2), connection(3)};
    configuration.policies = {policy_to(prefix("10.1.0.0/16"), config::PolicyAction::bypass, 7),
                              policy_to(prefix("10.9.0.0/16"), config::PolicyAction::discard, 8)};
    const auto result = configure();
    REQUIRE(result.problems.empty());
    REQUIRE(result.added == 3);
    REQUIRE(result.changed + result.unchanged + result.removed + result.deferred == 0);
  }
  config::Connection& c(unsigned number) { return configuration.connections.at(number - 1); }
};

}  // namespace espgate::sa::test
