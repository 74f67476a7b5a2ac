// Random policies come and go, and every packet must get what a linear search gives it.
#include <random>
#include <set>

#include "tests/datapath/policy/policies.hpp"

using namespace espgate;
using namespace espgate::policy;
using namespace espgate::testing;

namespace {

using Random = std::mt19937;

// Few different bytes, so that prefixes and ranges meet; edges of the address space among them.
net::Address random_address(Random& random, net::Family family) {
  constexpr std::uint8_t bytes[] = {0, 0, 1, 0x80, 0xff};
  net::Address address;
  address.family = family;
  for (int i = 0; i < address.bits() / 8; ++i)
    address.bytes[static_cast<std::size_t>(i)] = bytes[random() % std::size(bytes)];
  return address;
}

net::AddressRange random_range(Random& random, net::Family family) {
  const auto address = random_address(random, family);
  const auto bits = static_cast<unsigned>(address.bits());
  if (random() % 3 != 0)
    return net::AddressRange::of(
        net::masked(address, static_cast<std::uint8_t>(random() % (bits / 8 + 1) * 8)));
  const auto other = random_address(random, family);
  return {std::min(address, other), std::max(address, other)};
}

net::PortRange random_ports(Random& random) {
  switch (random() % 3) {
    case 0:
      return {};
    case 1: {
      const auto port = static_cast<std::uint16_t>(random() % 4);
      return {port, port};
    }
    default: {
      const auto first = static_cast<std::uint16_t>(random() % 4);
      return {first, static_cast<std::uint16_t>(first + random() % 3)};
    }
  }
}

net::TrafficSelector random_selector(Random& random, net::Family family) {
  net::TrafficSelector result{random_range(random, family), random_range(random, family), {}, {}, {}};
  if (random() % 2 == 0) return result;
  result.protocol = random() % 2 == 0 ? 6 : 17;
  result.local_ports = random_ports(random);
  result.remote_ports = random_ports(random);
  return result;
}

Packet random_packet(Random& random, net::Family family) {
  Packet result;
  result.local = random_address(random, family);
  result.remote = random_address(random, family);
  result.protocol = random() % 3 == 0 ? 6 : random() % 2 == 0 ? 17 : 47;
  if (result.protocol != 47) {
    result.local_port = static_cast<std::uint16_t>(random() % 5);
    result.remote_port = static_cast<std::uint16_t>(random() % 5);
    result.ports_known = random() % 4 != 0;
  }
  return result;
}

void check_burst(const Classifier& table, const Model& model, Random& random) {
  std::vector<Packet> packets;
  std::vector<net::Flow> flows;
  for (unsigned i = 0; i < 1 + random() % Classifier::most_in_burst; ++i) {
    packets.push_back(random_packet(random, random() % 2 == 0 ? net::Family::v4 : net::Family::v6));
    flows.push_back(packets.back().flow());
  }
  Match matches[Classifier::most_in_burst];
  look_up_all(table, flows, matches);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    CAPTURE(i, net::to_string(packets[i].local), net::to_string(packets[i].remote), packets[i].protocol,
            packets[i].local_port, packets[i].remote_port, packets[i].ports_known);
    REQUIRE(matches[i].decision == first_match(model, packets[i]));
  }
}

}  // namespace

TEST_CASE("the classifier agrees with a linear search, whatever comes and goes") {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto table = classifier(200);
    Model model;
    for (int step = 0; step < 1'500; ++step) {
      CAPTURE(step);
      const auto kind = random() % 8;
      if (kind < 4 && model.size() < 150) {
        // Anywhere in the order: `order` is new with certainty near enough.
        const std::uint64_t order = random() % 1'000'000;
        if (model.contains(order)) continue;
        const auto selector = random_selector(random, random() % 2 == 0 ? net::Family::v4 : net::Family::v6);
        const Decision decision{1 + static_cast<std::uint32_t>(random()) % 3};
        const auto rule = table->add(selector, order, decision);
        REQUIRE(rule);
        model[order] = {selector, *rule, decision};
      } else if (kind < 7 && !model.empty()) {
        const auto at = std::next(model.begin(), static_cast<long>(random() % model.size()));
        table->remove(at->second.rule);
        model.erase(at);
      } else if (!model.empty()) {
        auto& entry = std::next(model.begin(), static_cast<long>(random() % model.size()))->second;
        entry.decision = Decision::protect(static_cast<std::uint32_t>(random() % 5));
        table->set(entry.rule, entry.decision);
      }
      REQUIRE(table->size() == model.size());
      check_burst(*table, model, random);
    }
    for (const auto& [order, entry] : model) table->remove(entry.rule);
    model.clear();
    CHECK(table->size() == 0);
    check_burst(*table, model, random);
  }
}

TEST_CASE("shapes that are gone make room for others") {
  const auto table = classifier(10);
  Random random(5);
  std::set<net::TrafficSelector> seen;
  for (int i = 0; i < 3 * Classifier::most_tuples; ++i) {
    net::TrafficSelector wanted;
    wanted.local = net::AddressRange::of(
        net::masked(random_address(random, net::Family::v6), static_cast<std::uint8_t>(random() % 129)));
    wanted.remote = net::AddressRange::of(
        net::masked(random_address(random, net::Family::v6), static_cast<std::uint8_t>(random() % 129)));
    const auto rule = table->add(wanted, 1, Decision::bypass());
    REQUIRE(rule);
    Packet inside{wanted.local.first, wanted.remote.last, 17, 1, 2, true};
    REQUIRE(decision(*table, inside) == Decision::bypass());
    table->remove(*rule);
    REQUIRE(decision(*table, inside) == Decision::none());
  }
}
