#include "drivers/host/route_list.hpp"

#include <catch2/catch.hpp>

namespace espgate::host {
namespace {

using Outcome = RouteList::Outcome;
using Notice = RouteNotice;

Route route(const char* destination, std::vector<const char*> gateways, std::uint32_t metric = 0) {
  Route result;
  result.destination = *net::parse_prefix(destination);
  result.metric = metric;
  for (const char* gateway : gateways) result.next_hops.push_back({2, net::parse_address(gateway), false});
  return result;
}

std::vector<Route> at(const RouteList& list, const char* destination) {
  const auto routes = list.at(*net::parse_prefix(destination));
  return {routes.begin(), routes.end()};
}

const Route first = route("10.9.0.0/16", {"10.0.0.2"});
const Route second = route("10.9.0.0/16", {"10.0.0.3"});
const Route third = route("10.9.0.0/16", {"10.0.0.4"});

TEST_CASE("Routes of one prefix stand by table, metric and the kernel's order") {
  RouteList list(10);
  Route local = route("10.9.0.0/16", {});
  local.table = RouteTable::local;
  const Route costly = route("10.9.0.0/16", {"10.0.0.2"}, 100);
  CHECK(list.add(costly, Notice::created) == Outcome::changed);
  CHECK(list.add(first, Notice::created) == Outcome::changed);
  CHECK(list.add(second, Notice::appended) == Outcome::changed);
  CHECK(list.add(third, Notice::prepended) == Outcome::changed);
  CHECK(list.add(local, Notice::created) == Outcome::changed);
  CHECK(at(list, "10.9.0.0/16") == std::vector{local, third, first, second, costly});
  CHECK(list.size() == 5);
}

TEST_CASE("A replacement takes the place of the first, and is sure only if there was one") {
  RouteList list(10);
  list.add(first, Notice::created);
  CHECK(list.add(second, Notice::replaced) == Outcome::changed);
  CHECK(at(list, "10.9.0.0/16") == std::vector{second});
  list.add(first, Notice::appended);
  CHECK(list.add(third, Notice::replaced) == Outcome::doubtful);
  CHECK(at(list, "10.9.0.0/16") == std::vector{third, first});
}

TEST_CASE("A route said to be new where one is known means that the known one is gone") {
  RouteList list(10);
  list.add(first, Notice::created);
  CHECK(list.add(second, Notice::created) == Outcome::changed);
  CHECK(at(list, "10.9.0.0/16") == std::vector{second});
}

TEST_CASE("Removal takes the route it names, whatever became of its next hop's state") {
  RouteList list(10);
  list.add(first, Notice::created);
  list.add(second, Notice::appended);
  Route dead = second;
  dead.next_hops[0].dead = true;
  CHECK(list.remove(dead) == Outcome::changed);
  CHECK(at(list, "10.9.0.0/16") == std::vector{first});
  CHECK(list.remove(third) == Outcome::doubtful);
  CHECK(list.remove(first) == Outcome::changed);
  CHECK(list.remove(first) == Outcome::unchanged);
  CHECK(list.all().empty());
  CHECK(list.size() == 0);
}

TEST_CASE("An IPv6 next hop that joins brings the whole group, in doubtful order") {
  RouteList list(10);
  list.add(route("fd99::/64", {"fd00::2"}, 1024), Notice::created);
  const auto group = route("fd99::/64", {"fd00::3", "fd00::2"}, 1024);
  CHECK(list.add(group, Notice::appended) == Outcome::doubtful);
  CHECK(at(list, "fd99::/64") == std::vector{group});
  CHECK(list.remove(route("fd99::/64", {"fd00::2"}, 1024)) == Outcome::doubtful);
}

TEST_CASE("What is above the limit is left out, and said to be") {
  RouteList list(2);
  CHECK(list.add(first, Notice::created) == Outcome::changed);
  CHECK(list.add(second, Notice::appended) == Outcome::changed);
  CHECK_FALSE(list.overflowed());
  CHECK(list.add(third, Notice::appended) == Outcome::unchanged);
  CHECK(list.add(route("10.8.0.0/16", {}), Notice::created) == Outcome::unchanged);
  CHECK(list.overflowed());
  CHECK(list.size() == 2);
  CHECK(list.all().size() == 1);
}

TEST_CASE("The same route twice is no change") {
  RouteList list(2);
  list.add(first, Notice::created);
  CHECK(list.add(first, Notice::listed) == Outcome::unchanged);
  Route dead = first;
  dead.next_hops[0].dead = true;
  CHECK(list.add(dead, Notice::listed) == Outcome::changed);
  CHECK(list.size() == 1);
}

}  // namespace
}  // namespace espgate::host
