// Which of our addresses lead to a peer.
#include "control/daemon/own_addresses.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::daemon;

namespace {

net::Address at(std::string_view text) {
  return *net::parse_address(text);
}

constexpr int lo = 1, fibre = 2, radio = 3;
const auto peer = at("198.51.100.1");

// Two ways out, each with an address of ours; the route to the peer leads out by the first.
struct Kernel : host::KernelView {
  Kernel() : KernelView(100) {
    links[lo].up = links[lo].loopback = true;
    for (const auto link : {fibre, radio}) links[link].up = links[link].running = true;
    has(fibre, "192.0.2.1");
    has(radio, "203.0.113.1");
    route("0.0.0.0", 0, fibre, 10);
    route("0.0.0.0", 0, radio, 20);
  }
  void has(int link, std::string_view address, host::AddressState state = host::AddressState::preferred) {
    addresses.insert_or_assign({link, {at(address), 24}}, state);
  }
  void route(std::string_view to, std::uint8_t length, int link, std::uint32_t metric,
             host::RouteType type = host::RouteType::unicast) {
    host::Route route;
    route.destination = {at(to), length};
    route.metric = metric;
    route.type = type;
    if (type == host::RouteType::unicast) route.next_hops.emplace_back().ifindex = link;
    routes.add(route, host::RouteNotice::created);
  }
  std::vector<net::Address> usable() const { return usable_addresses(*this, ours, peer); }

  std::vector<net::Address> ours{at("192.0.2.1"), at("203.0.113.1")};
};

using Addresses = std::vector<net::Address>;

}  // namespace

TEST_CASE("the address where the route leads out is the one, whichever stands first") {
  Kernel kernel;
  CHECK(kernel.usable() == Addresses{at("192.0.2.1")});
  kernel.links[fibre].running = false;
  CHECK(kernel.usable() == Addresses{at("203.0.113.1")});
  kernel.links[fibre].running = true;
  kernel.route("198.51.100.0", 24, radio, 30);
  CHECK(kernel.usable() == Addresses{at("203.0.113.1")});
}

TEST_CASE("several on one interface are in the order of the configuration") {
  Kernel kernel;
  kernel.has(fibre, "203.0.113.1");
  CHECK(kernel.usable() == kernel.ours);
}

TEST_CASE("one of loopback leads out everywhere") {
  Kernel kernel;
  kernel.ours = {at("10.0.0.1"), at("203.0.113.1")};
  kernel.has(lo, "10.0.0.1");
  CHECK(kernel.usable() == Addresses{at("10.0.0.1")});
}

TEST_CASE("without any where the route leads out, each that is there will do") {
  Kernel kernel;
  kernel.addresses.clear();
  CHECK(kernel.usable().empty());
  kernel.has(radio, "203.0.113.1");
  CHECK(kernel.usable() == Addresses{at("203.0.113.1")});
}

TEST_CASE("a tentative address is not there yet, and a deprecated one for want of others") {
  using host::AddressState;
  Kernel kernel;
  kernel.has(fibre, "203.0.113.1");
  kernel.has(fibre, "192.0.2.1", AddressState::deprecated);
  CHECK(kernel.usable() == Addresses{at("203.0.113.1")});
  kernel.has(fibre, "203.0.113.1", AddressState::tentative);
  CHECK(kernel.usable() == Addresses{at("192.0.2.1")});
  // The other interface has a preferred one, but the route does not lead out there.
  kernel.has(radio, "203.0.113.1");
  CHECK(kernel.usable() == Addresses{at("192.0.2.1")});
  kernel.has(fibre, "192.0.2.1", AddressState::tentative);
  CHECK(kernel.usable() == Addresses{at("203.0.113.1")});
  kernel.has(radio, "203.0.113.1", AddressState::tentative);
  CHECK(kernel.usable().empty());
}

TEST_CASE("where no route leads there is no address to speak from") {
  Kernel kernel;
  kernel.route("198.51.100.1", 32, 0, 0, host::RouteType::unreachable);
  CHECK(kernel.usable().empty());
}
